package config

import (
	"fmt"
	"strings"
	"testing"
)

// value is one scalar of a file with its path.
type value struct {
	*node
	path path
}

// scalars lists the scalars of a tree.
func scalars(n *node, p path) (found []value) {
	if n.scalar() {
		return []value{{n, p}}
	}
	for i, item := range n.items {
		found = append(found, scalars(item, p.item(i))...)
	}
	for _, pair := range n.pairs {
		found = append(found, scalars(pair.value, p.key(pair.key.text))...)
	}
	return found
}

// replace puts other text in the place of a scalar.
func replace(text string, v value, with string) string {
	lines := strings.Split(text, "\n")
	line := []rune(lines[v.at.line-1])
	head, tail := string(line[:v.at.column-1]), string(line[v.at.column-1:])
	quote := ""
	if tail[0] == '"' {
		quote = `"`
	}
	lines[v.at.line-1] = head + with + strings.TrimPrefix(tail, quote+v.text+quote)
	return strings.Join(lines, "\n")
}

// TestEveryValueHasItsPlace makes each value of the reference file wrong in
// turn, in three ways, and wants the fault at that very place and path.
func TestEveryValueHasItsPlace(t *testing.T) {
	text := string(Reference())
	root, fault := read(text)
	if fault != nil {
		t.Fatal(fault)
	}
	values := scalars(root, "")
	if len(values) < 50 {
		t.Fatalf("only %d values in the reference file", len(values))
	}
	for _, v := range values {
		for _, wrong := range []string{"[[]]", "~", `"a\tb"`} {
			if wrong == "~" && strings.Contains(string(v.path), "[") && !strings.Contains(string(v.path), "].") {
				continue // items of plain lists have no key to remove
			}
			_, err := Parse("f.yaml", []byte(replace(text, v, wrong)), Hostname("gw-a"))
			want := fmt.Sprintf("f.yaml:%d:%d: %s: ", v.at.line, v.at.column, v.path)
			if !strings.Contains(fmt.Sprint(err)+"\n", want) {
				t.Errorf("%s instead of %q: no fault begins with %s:\n%v", wrong, v.text, want, err)
			}
		}
	}
}

// keyPaths lists the keys of a tree with the mapping that each stands in.
func keyPaths(n *node, p path) (keys []value) {
	for i, item := range n.items {
		keys = append(keys, keyPaths(item, p.item(i))...)
	}
	for _, pair := range n.pairs {
		keys = append(keys, value{pair.key, p})
		keys = append(keys, keyPaths(pair.value, p.key(pair.key.text))...)
	}
	return keys
}

// TestEveryKeyIsSuggested misspells each key of the reference file in turn, in
// four ways, and wants it suggested at its place.
func TestEveryKeyIsSuggested(t *testing.T) {
	text := string(Reference())
	root, fault := read(text)
	if fault != nil {
		t.Fatal(fault)
	}
	for _, key := range keyPaths(root, "") {
		word := key.text
		if key.path == "nodes" || strings.HasSuffix(string(key.path), ".priority") || strings.HasPrefix(string(key.path), "nodes.") || len(word) < 4 {
			continue // names of the operator's, or too short to guess
		}
		for _, slip := range []string{word[1:], word + "x", word[:2] + "x" + word[3:], word[1:2] + word[:1] + word[2:]} {
			if slip == word || len(slip) < 3 {
				continue
			}
			_, err := Parse("f.yaml", []byte(replace(text, key, slip)), Hostname("gw-a"))
			want := fmt.Sprintf("f.yaml:%d:%d: %s: unknown key; did you mean %s?\n", key.at.line, key.at.column, key.path.key(slip), word)
			if !strings.Contains(fmt.Sprint(err)+"\n", want) {
				t.Errorf("no fault is %s in\n%v", want, err)
			}
		}
	}
}

// TestKeysTwice repeats each key of the reference file in turn.
func TestKeysTwice(t *testing.T) {
	lines := strings.Split(string(Reference()), "\n")
	for i, line := range lines {
		key, rest, isKey := strings.Cut(strings.TrimLeft(line, " "), ":")
		indent := len(line) - len(strings.TrimLeft(line, " "))
		if !isKey || strings.ContainsAny(key, `-#"$ `) || rest == "" {
			continue // not a key with its value on one line
		}
		text := strings.Join(append(append(append([]string{}, lines[:i+1]...), line), lines[i+1:]...), "\n")
		_, err := Parse("f.yaml", []byte(text), Hostname("gw-a"))
		place := fmt.Sprintf("f.yaml:%d:%d: ", i+2, indent+1)
		want := fmt.Sprintf("%s: repeats the key of line %d; keep one of the two", key, i+1)
		if got := fmt.Sprint(err); !strings.HasPrefix(got, place) || !strings.HasSuffix(got, want) {
			t.Errorf("%s twice: got %s, want %s… %s", key, got, place, want)
		}
	}
}
