package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// FuzzParse holds for any text: it does not panic, faults are single lines
// with a place in the file, and what is accepted is read back equal from its
// canonical form.
func FuzzParse(f *testing.F) {
	f.Add(Reference())
	f.Add([]byte(diffBase))
	for _, tt := range trees {
		f.Add([]byte(tt.text))
	}
	for _, tt := range syntaxFaults {
		text, _ := unmark(tt.text)
		f.Add([]byte(text))
	}
	for seed := range uint64(5) {
		f.Add(newGenerator(seed).settings().YAML())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("f.yaml", data, Hostname("gw-a"))
		if err != nil {
			checkFaults(t, err.(*Faults), string(data))
			return
		}
		text := s.YAML()
		again, err := Parse("f.yaml", text, Hostname("gw-b"))
		if err != nil {
			t.Fatalf("accepted\n%s\nand refused its canonical form\n%s\n%v", data, text, err)
		}
		if !reflect.DeepEqual(again, s) {
			t.Fatalf("accepted\n%s\nas\n%s\nand read back\n%s", data, text, again.YAML())
		}
		if changes := Diff(s, again); len(changes) > 0 {
			t.Fatalf("changes between equals: %v", changes)
		}
	})
}

func checkFaults(t *testing.T, faults *Faults, text string) {
	lines := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
	for _, f := range faults.List {
		switch {
		case f.Problem == readerFailed:
			t.Errorf("the library panics")
		case strings.ContainsAny(f.Error(), "\n\r\x1b") || f.Problem == "" || f.Remedy == "":
			t.Errorf("not one line with a problem and a remedy: %q", f.Error())
		case f.Line == 0 && f.Column == 0 && f.Path == "":
		case f.Line < 1 || f.Line > len(lines) || f.Column < 1 || f.Column > len(lines[f.Line-1])+2:
			t.Errorf("no such place in the file: %q", f.Error())
		}
	}
}

// FuzzTree holds for any text that reads as YAML: each value is where it
// says it is, and it is read back equal when it is written.
func FuzzTree(f *testing.F) {
	for _, tt := range trees {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, fault := read(text)
		if fault != nil || n == nil || longKey(n) {
			return
		}
		if problem := misplaced(n, text); problem != "" {
			t.Errorf("%q: %s", text, problem)
		}
		written := string(write(n))
		again, fault := read(written)
		if fault != nil || dump(again) != dump(n) {
			t.Errorf("%q is %s, written %q and read back as %s, %v", text, dump(n), written, dump(again), fault)
		}
	})
}

// longKey tells whether a tree has a key that YAML knows on several lines only,
// behind a question mark, which write does not do: no key of ours is that long.
func longKey(n *node) bool {
	for _, p := range n.pairs {
		if len(quoteYAML(p.key.text)) > 1000 || longKey(p.value) {
			return true
		}
	}
	return slices.ContainsFunc(n.items, longKey)
}
