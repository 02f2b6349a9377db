package config

import (
	"strings"
	"testing"
)

// What the library says most.
const (
	noKey      = "did not find expected key"
	noDash     = "did not find expected '-' indicator"
	noComma    = "did not find expected ',' or ']'"
	noMore     = "did not find expected ',' or '}'"
	noContent  = "did not find expected node content"
	noDocument = "did not find expected <document start>"
	noMapping  = "mapping values are not allowed in this context"
	noList     = "block sequence entries are not allowed in this context"
	noQuote    = "found unexpected end of stream"
	up         = " between line 1 and here"
	noEscape   = "found invalid Unicode character escape code"
)

// syntaxFaults has one row for each way in which a text is no settings file
// before anyone looks at its keys, with the one problem it has. Those of the
// library stand at the beginning of a line.
var syntaxFaults = []struct{ name, text, want string }{
	{"tab indents", "node:\n» \tname: a", "found character that cannot start any token"},
	{"tab on an empty line", "node:\n»  name: a\n\t\n  user: b", "found a tab character that violates indentation"},
	{"control character", "node: {name: é»\x1b[2J}", "has the control character U+001B"},
	{"lone carriage return", "node:»\r  name: a", "has the control character U+000D"},
	{"mark amid the text", "node: {name: a»\ufeff}", "has the control character U+FEFF"},
	{"line end unknown to editors", "node: {name: a»\u2028}", "has the control character U+2028"},
	{"not UTF-8", "node: {name: é»\xff}", "is not UTF-8"},
	{"outer key less indented", " node:\n  name: a\n»nodes: {}", noDocument},
	{"inner key less indented", "node:\n    name: a\n»  user: b", noKey + up},
	{"inner key more indented", "node:\n  name: a\n»    user: b", noMapping},
	{"text over lines like a key", "node:\n  name: a\n\n»  b\n  user: c", "could not find expected ':'"},
	{"list item among keys", "node:\n  name: a\n»- b", noKey + up},
	{"below a comment", "# a\n\nnode:\n    name: a\n»  user: b\nnodes: {}\n", noKey + " between line 3 and here"},
	{"key among list items", "- a\n»b: c", noDash + up},
	{"key behind a bracket", "node:\n      name: [a,\n»  b]  user: c", noMapping},
	{"list item behind a bracket", "-    - [a,\n»  b] - c", noList},
	{"list item less indented", "- - a\n» - b", noDash + up},
	{"two keys on a line", "»node: name: a", noMapping},
	{"list on the line of a key", "»services: - a", noList},
	{"text behind quotes", `»node: "a" b`, noKey},
	{"text at quotes", `»node: "a"b`, noKey},
	{"no space behind colon", `»"node":{}`, noDocument},
	{"text behind brackets", "»node: [a] b", noKey},
	{"key in brackets", "»[a]: b", "a key is a list"},
	{"key in braces", "»{a: b}: b", "a key is a mapping"},
	{"key without name", "»: b", noKey},
	{"key over lines", "node: {a\n»: b}", noMore + up},
	{"open quote", `»node: "a`, noQuote},
	{"open single quote", `»node: {name: 'a, user: b}`, noQuote},
	{"open quote further up", "»node: 'a\nnodes: {}\n", noQuote},
	{"escaped quote", `»node: "a\"`, noQuote},
	{"unknown escape", `»node: "\d"`, "found unknown escape character"},
	{"short escape", `»node: "\x4"`, "did not find expected hexdecimal number"},
	{"half a character", `»node: "\ud83d!"`, noEscape},
	{"beyond Unicode", `»node: "\U00110000"`, noEscape},
	{"open list", "»services: [a, b\n", noComma},
	{"open mapping", "»node: {name: a", noMore},
	{"open list further up", "a: b\nservices: [a,\n  b\n»c: d\n", noComma + " between line 2 and here"},
	{"open mapping behind comma", "»node: {name: a,", noContent},
	{"closed by the wrong bracket", "»services: [a}", noComma},
	{"closed without opening", "»services: ]", noContent},
	{"comma missing", "»services: [{a: b} {c: d}]", noComma},
	{"comma too many", "»services: [a, , b]", noContent},
	{"variable in brackets", "»node: {name: ${x}}", noMore},
	{"dash in brackets", "»services: [- a]", noContent},
	{"anchor", "node: »&a {}", "anchors are not known here"},
	{"alias", "node: {name: &a b, user: »*a}", "aliases are not known here"},
	{"alias of nothing", "»node: *a", "aliases are not known here"},
	{"half an alias", "»node: *", "did not find expected alphabetic or numeric character"},
	{"merge key", "node: {»<<: {name: a}}", "merge keys are not known here"},
	{"tag", "node: »!!map {}", "tags are not known here"},
	{"tag of text", "node: {name: »!!str 7}", "tags are not known here"},
	{"own tag", "node: {name: »!a b}", "tags are not known here"},
	{"unknown tag", "»node: !a!b {}", "found undefined tag handle"},
	{"directive", "%YAML 2.0\n---\n»{}", "found incompatible YAML document between line 1 and here"},
	{"at sign", "»node: @a", "found character that cannot start any token"},
	{"second document", "{}\n»---\n{}", "a second document begins"},
	{"second document after end", "{}\n...\n»---\n{}", "a second document begins"},
	{"fault in second document", "{}\n---\n»a: ]", noContent},
	{"document in brackets", "node: {name:\n»--- }", noContent},
	{"too deep in brackets", "services: " + strings.Repeat("[", 31) + "»[" + strings.Repeat("]", 32), "lists and mappings nest more than 32 deep"},
	{"too deep by dashes", strings.Repeat("- ", 32) + "»- a", "lists and mappings nest more than 32 deep"},
	{"too deep for the library", "»" + strings.Repeat("[", 10002), "exceeded max depth of 10000"},
}

func TestSyntaxFaults(t *testing.T) {
	for _, tt := range syntaxFaults {
		t.Run(tt.name, func(t *testing.T) {
			text, places := unmark(tt.text)
			_, err := Parse("f.yaml", []byte(text), Hostname("gw-a"))
			// Faults of keys and values may follow where the structure is whole.
			found := lines(t, err)
			want := "f.yaml:" + places[0] + ": " + tt.want + "; "
			for _, line := range found {
				if strings.HasPrefix(line, want) && len(line) > len(want) {
					return
				}
			}
			t.Errorf("got  %q\nwant %q", found, want)
		})
	}
}

// TestSyntaxRemedies holds that the common slips have a remedy of their own.
func TestSyntaxRemedies(t *testing.T) {
	for text, want := range map[string]string{
		"a: {b: ${c}}": `f.yaml:1:1: did not find expected ',' or '}'; close the mapping with }, and put quotes around values with a colon or braces, such as "${name}"`,
		"a:\n \tb: c":  "f.yaml:2:1: found character that cannot start any token; indent with spaces instead of tabs, and put quotes around text that begins with @, % or `",
		`a: "\d"`:      `f.yaml:1:1: found unknown escape character; write a backslash as \\, or use single quotes`,
		"a: b: c":      "f.yaml:1:1: mapping values are not allowed in this context; begin each key on a line of its own, or put quotes around text with a colon",
		"a: !<x":       "f.yaml:1:1: did not find the expected '>'; look around this line for a slip in indentation, quotes or brackets",
	} {
		if _, err := Parse("f.yaml", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}
