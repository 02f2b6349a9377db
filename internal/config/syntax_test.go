package config

import (
	"slices"
	"strings"
	"testing"
)

// TestSyntaxFaults has one row for each way in which a text is no settings
// file before anyone looks at its keys.
func TestSyntaxFaults(t *testing.T) {
	const (
		quoteIt  = "; put quotes around text that begins like this"
		align    = "this line fits nothing above it; align it with the lines it belongs to; text cannot go on over several lines"
		spread   = "; put quotes around the whole text, a space behind the colon of a key and each key on a line of its own"
		begins   = "a list or another key begins on the line of a key; begin it on the next line, or put quotes around text that contains a colon or begins with a dash"
		document = "a second document begins; keep all settings in one document"
	)
	for _, tt := range []struct{ name, text, want string }{
		{"tab indents", "node:\n »\tname: a", "a tab cannot indent; use spaces"},
		{"tab indents in brackets", "node: {\n»\tname: a}", "a tab cannot indent; use spaces"},
		{"control character", "node: {name: é»\x1b[2J}", "has the control character U+001B; remove it, or write it as an escape in double quotes"},
		{"lone carriage return", "node:»\r  name: a", "has the control character U+000D; remove it, or write it as an escape in double quotes"},
		{"not UTF-8", "node: {name: é»\xff}", "is not UTF-8; save the file as UTF-8"},
		{"outer key less indented", " node:\n  name: a\n»nodes: {}", align},
		{"inner key less indented", "node:\n    name: a\n  »user: b", align},
		{"inner key more indented", "node:\n  name: a\n    »user: b", align},
		{"text over lines", "node:\n  name: a\n    »b", align},
		{"list item among keys", "node:\n  name: a\n»- b", align},
		{"key among list items", "- a\n»b: c", align},
		{"list item less indented", "- - a\n »- b", align},
		{"two keys on a line", "node: »name: a", begins},
		{"list on the line of a key", "services: »- a", begins},
		{"text behind quotes", `node: "a" »b`, `"b" does not belong here` + spread},
		{"text at quotes", `node: »"a"b`, "text goes on behind the closing quote; quote all of it"},
		{"no space behind colon", `"node"»:{}`, `":{}" does not belong here` + spread},
		{"text behind brackets", "node: [a] »b", `"b" does not belong here` + spread},
		{"key in brackets", "[a]»: b", `":" does not belong here` + spread},
		{"key without name", "»: b", `":" stands where a value is expected; give the value, or put quotes around text that begins like this`},
		{"key over lines", "node: {»a\n: b}", `"a" stands where a key is expected; write {key: value}, with a space behind the colon, and quotes around a value such as "${name}"`},
		{"open quote", `node: »"a`, `the quote is not closed on its line; add the closing "`},
		{"open single quote", `node: {name: »'a, user: b}`, `the quote is not closed on its line; add the closing '`},
		{"escaped quote", `node: »"a\"`, `the quote is not closed on its line; add the closing "`},
		{"quote over lines", "node: »\"a\n  b\"", `the quote is not closed on its line; add the closing "`},
		{"unknown escape", `node: »"\d"`, `"\\d" is not an escape; write a backslash as \\, or use single quotes`},
		{"short escape", `node: »"\x4"`, `"\\x" is not an escape; write a backslash as \\, or use single quotes`},
		{"half a character", `node: »"\ud83d!"`, `"\\u" is not an escape; write a backslash as \\, or use single quotes`},
		{"beyond Unicode", `node: »"\U00110000"`, `"\\U" is not an escape; write a backslash as \\, or use single quotes`},
		{"open list", "services: »[a, b\n", `"[" is not closed; add the closing bracket`},
		{"open mapping", "node: »{name: a", `"{" is not closed; add the closing bracket`},
		{"open mapping behind comma", "node: »{name: a,", `"{" is not closed; add the closing bracket`},
		{"closed by the wrong bracket", "services: [a»}", `"}" stands where a comma or the end of "[" is expected; put quotes around text with colons or braces, such as "${name}"`},
		{"closed without opening", "services: »]", "']': it closes nothing" + quoteIt},
		{"comma missing", "services: [{a: b} »{c: d}]", `"{" stands where a comma or the end of "[" is expected; put quotes around text with colons or braces, such as "${name}"`},
		{"comma too many", "services: [a, », b]", `"," stands where a value is expected; give the value, or put quotes around text that begins like this`},
		{"variable in brackets", "node: {name: $»{x}}", `"{" stands where a comma or the end of "{" is expected; put quotes around text with colons or braces, such as "${name}"`},
		{"no space behind colon in brackets", "node: {»name:a}", `"name:a" stands where a key is expected; write {key: value}, with a space behind the colon, and quotes around a value such as "${name}"`},
		{"dash in brackets", "services: [»- a]", `'-': list items with a dash cannot stand inside brackets` + quoteIt},
		{"comment without space", "services: [a]»#b", `'#': a comment needs a space before it` + quoteIt},
		{"anchor", "node: »&a {}", "'&': anchors are not known here" + quoteIt},
		{"tag", "node: »!!map {}", "'!': tags are not known here" + quoteIt},
		{"question mark", "»? node\n: {}", "'?': keys with a question mark are not known here" + quoteIt},
		{"text block", "node: »|\n  name: a", `'|': text blocks are not known here; write the text on one line in double quotes, with \n for line ends`},
		{"folded text block", "node:\n  name: »>-\n   a", `'>': text blocks are not known here; write the text on one line in double quotes, with \n for line ends`},
		{"directive", "»%YAML 1.2\n---\n{}", "'%': directives are not known here" + quoteIt},
		{"at sign", "node: »@a", "'@': text cannot begin with it" + quoteIt},
		{"second document", "{}\n»---\n{}", document},
		{"second document after end", "{}\n...\n»{}", document},
		{"end twice", "{}\n...\n»...", document},
		{"settings at document marker", "--- »{}", "settings cannot begin on the line of ---; begin on the next line"},
		{"document in brackets", "node: {name:\n»--- }", `"---" stands where a value is expected; give the value, or put quotes around text that begins like this`},
		{"too deep in brackets", "services: " + strings.Repeat("[", 31) + "»[", "lists and mappings nest more than 32 deep; no setting is that deep"},
		{"too deep by dashes", strings.Repeat("- ", 32) + "»- a", "lists and mappings nest more than 32 deep; no setting is that deep"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text, places := unmark(tt.text)
			_, err := Parse("f.yaml", []byte(text), Hostname("gw-a"))
			// Faults of keys and values may follow where the structure is whole.
			found := lines(t, err)
			if want := "f.yaml:" + places[0] + ": " + tt.want; len(found) == 0 || !slices.Contains(found, want) {
				t.Errorf("got  %q\nwant %q", found, want)
			}
		})
	}
}
