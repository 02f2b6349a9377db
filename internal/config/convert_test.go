package config

import (
	"fmt"
	"strings"
	"testing"
)

// read is the tree of a text, or the first fault in it.
func read(text string) (*node, *Fault) {
	text, fault := checkText([]byte(text))
	if fault != nil {
		return nil, fault
	}
	root, fault := decode(text)
	if root == nil {
		return nil, fault
	}
	var r reader
	n := r.convert(root, 1)
	if len(r.faults.List) > 0 {
		return nil, r.faults.List[0]
	}
	return n, nil
}

// dump writes a tree so that nothing of it is lost: text in quotes, numbers
// bare, and what has no value as a dot.
func dump(n *node) string {
	switch {
	case n == nil:
		return "nothing"
	case n.kind == kindText:
		return fmt.Sprintf("%q", n.text)
	case n.kind == kindNull:
		return "."
	case n.scalar():
		return n.text
	}
	var parts []string
	for _, item := range n.items {
		parts = append(parts, dump(item))
	}
	for _, p := range n.pairs {
		parts = append(parts, p.key.text+": "+dump(p.value))
	}
	text := strings.Join(parts, ", ")
	if n.kind == kindList {
		return "[" + text + "]"
	}
	return "{" + text + "}"
}

// trees are texts with the values that they mean.
var trees = []struct{ name, text, want string }{
	{"empty", "", "nothing"},
	{"comment", "# a\n\n  # b", "nothing"},
	{"no settings in document", "---\n...\n", "nothing"},
	{"plain", "foo bar # c", `"foo bar"`},
	{"document", "---\na: b\n...\n", `{a: "b"}`},
	{"byte order mark", "\ufeffa: b", `{a: "b"}`},
	{"line ends of Windows", "a: b\r\nc:\r\n  d: 'e'\r\n", `{a: "b", c: {d: "e"}}`},
	{"no line end", "a: b", `{a: "b"}`},
	{"scalars", "[a, 1, -7, 0x1F, 010, 1.5, .inf, true, False, null, ~, 1_0, 1.2.3, '1', \"~\", Null]",
		`["a", 1, -7, 0x1F, 010, 1.5, .inf, true, False, ., ., 1_0, "1.2.3", "1", "~", .]`},
	{"block mapping", "a: b\nc:\n  d: e\n  f: g\nh: i", `{a: "b", c: {d: "e", f: "g"}, h: "i"}`},
	{"block list", "- a\n-  b\n- - c\n  - d\n-\n  e", `["a", "b", ["c", "d"], "e"]`},
	{"list below key", "a:\n- b\n- c\nd:\n  - e", `{a: ["b", "c"], d: ["e"]}`},
	{"mapping in list", "- a: b\n  c: d\n- e:\n    f: g\n  h:\n  - i", `[{a: "b", c: "d"}, {e: {f: "g"}, h: ["i"]}]`},
	{"key first in deep list", "a:\n  - - b: c\n      d: e\n    - f", `{a: [[{b: "c", d: "e"}, "f"]]}`},
	{"nothing", "a:\nb: ~\nc:\n  d:\ne:\n  -\n  - f\n  -", `{a: ., b: ., c: {d: .}, e: [., "f", .]}`},
	{"flow", "{a: [b, {c: d}], e: {}, f: []}", `{a: ["b", {c: "d"}], e: {}, f: []}`},
	{"flow over lines", "a: [b,\n  c, # d\n# e\nf\n]\ng: {\n  h: i,\n}", `{a: ["b", "c", "f"], g: {h: "i"}}`},
	{"flow without values", "{a: , b: , c, d: }", `{a: ., b: ., c: ., d: .}`},
	{"colon at a comma", "{a:, b}", `{a:: ., b: .}`},
	{"json", `{"a":[1,true,null],"b":{"c":"d"},"e":"f:g"}`, `{a: [1, true, .], b: {c: "d"}, e: "f:g"}`},
	{"colons in text", "a: b:c\nd: [10.0.0.1:22, '::1', 2001:db8::1]\ne: http://f#g", `{a: "b:c", d: ["10.0.0.1:22", "::1", "2001:db8::1"], e: "http://f#g"}`},
	{"text like marks", "a: b, c] }d{\ne: -f\ng: :h\ni: ?j\nk: --- l", `{a: "b, c] }d{", e: "-f", g: ":h", i: "?j", k: "--- l"}`},
	{"hash in text", "a: b#c\nd: 'e # f' # g\n#h", `{a: "b#c", d: "e # f"}`},
	{"quoted keys", "'a b': 1\n\"c\\td\": 2\n'' : 3", "{a b: 1, c\td: 2, : 3}"},
	{"spaces before colon", "a : b\n\"c\" : d", `{a: "b", c: "d"}`},
	{"blank lines", "a:\n\n\n  b: c\n   \n  d: e\n", `{a: {b: "c", d: "e"}}`},
	{"tabs between", "a:\tb\t# c\nd:\t[e,\tf]", `{a: "b", d: ["e", "f"]}`},
	{"deeper comment", "a:\n      # b\n  c: d\n# e\n  f: g", `{a: {c: "d", f: "g"}}`},
	{"text over lines", "a: b\n  c\n\n  d\ne: 'f\n  g'\nh: \"i\\\n  j\"", `{a: "b c\nd", e: "f g", h: "ij"}`},
	{"text blocks", "a: |\n  b\n   c: d\n\ne: >-\n  f\n  g\n", `{a: "b\n c: d\n", e: "f g"}`},
	{"keys with question mark", "? a\n: b\n? c", `{a: "b", c: .}`},
	{"on the line of the document", "--- {a: b}\n...\n...\n", `{a: "b"}`},
	{"mapping without braces", "[a: b, c]", `[{a: "b"}, "c"]`},
	{"words of old YAML", "[yes, off, 2001-01-01, 1:30, <<]", `["yes", "off", "2001-01-01", "1:30", "<<"]`},
	{"characters beyond ASCII", "ä: ö\n\"ü\": ['😀']", `{ä: "ö", ü: ["😀"]}`},
	{"single quotes", "['', 'it''s', '\\n', ' a ']", `["", "it's", "\\n", " a "]`},
	{"double quotes", `["", "\"", "\\", "\x41\u00e9\U0001F600", "\0\a\b\t\n\v\f\r\e\ \N\_\L\P"]`,
		`["", "\"", "\\", "Aé😀", "\x00\a\b\t\n\v\f\r\x1b \u0085\u00a0\u2028\u2029"]`},
}

func TestTree(t *testing.T) {
	for _, tt := range trees {
		t.Run(tt.name, func(t *testing.T) {
			n, fault := read(tt.text)
			if fault != nil {
				t.Fatal(fault)
			}
			if got := dump(n); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestTreePositions holds that every scalar is where it says it is.
func TestTreePositions(t *testing.T) {
	for _, tt := range trees {
		n, _ := read(tt.text)
		if problem := misplaced(n, tt.text); problem != "" {
			t.Errorf("%s: %s", tt.name, problem)
		}
	}
}

// misplaced compares the position of each value with the text there.
func misplaced(n *node, text string) string {
	if n == nil {
		return ""
	}
	lines := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
	if n.at.line > len(lines) {
		return fmt.Sprintf("%s is at %v, below the text", dump(n), n.at)
	}
	line := []rune(lines[n.at.line-1])
	here := append(line[min(n.at.column-1, len(line)):], 0)
	// Text may go on over lines, what is empty has nothing there, and a lone
	// exclamation mark says nothing that the library would pass on.
	first, _, _ := strings.Cut(strings.ReplaceAll(n.text, "\n", " "), " ")
	switch {
	case n.kind == kindList && here[0] != '[' && here[0] != '-', n.kind == kindMapping && here[0] == ' ':
		return fmt.Sprintf("%s is not at %v", dump(n), n.at)
	case n.scalar() && !strings.ContainsRune("\"'|>!", here[0]) && !strings.HasPrefix(string(here), first):
		return fmt.Sprintf("%q is not at %v", n.text, n.at)
	}
	below := n.items
	for _, p := range n.pairs {
		below = append(below, p.key, p.value)
	}
	for _, n := range below {
		if problem := misplaced(n, text); problem != "" {
			return problem
		}
	}
	return ""
}
