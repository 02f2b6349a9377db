package config

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// oracle is what goccy/go-yaml makes of a text, dumped like a tree of ours.
func oracle(text string) (dumped string, err error) {
	// On some texts that are no YAML the library panics.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	f, err := parser.ParseBytes([]byte(text), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return "", err
	}
	for _, doc := range f.Docs {
		if doc.Body != nil {
			return dump(fromAST(doc.Body)), nil
		}
	}
	return dump(nil), nil
}

func fromAST(n ast.Node) *node {
	text := n.GetToken().Value
	switch n := n.(type) {
	case *ast.MappingNode:
		m := &node{kind: kindMapping}
		for _, v := range n.Values {
			m.pairs = append(m.pairs, pair{key: fromAST(v.Key), value: fromAST(v.Value)})
		}
		return m
	case *ast.SequenceNode:
		l := &node{kind: kindList}
		for _, v := range n.Values {
			l.items = append(l.items, fromAST(v))
		}
		return l
	case *ast.NullNode:
		return &node{kind: kindNull, text: text}
	case *ast.StringNode:
		return &node{kind: kindText, text: text}
	case *ast.BoolNode:
		return &node{kind: kindBool, text: text}
	default:
		return &node{kind: kindNumber, text: text}
	}
}

// checkOracle holds that a text we take means the same to another reader of
// YAML. The other way round does not hold: we take less.
func checkOracle(t *testing.T, text string) {
	n, fault := read(text)
	if fault != nil || foreign.MatchString(text) {
		return
	}
	want, err := oracle(text)
	if err != nil {
		t.Errorf("we read %q as %s and the other reader: %v", text, dump(n), err)
	} else if got := dump(n); got != want {
		t.Errorf("we read %q as\n%s\nand the other reader as\n%s", text, got, want)
	}
}

// foreign matches texts that the other reader is known to take differently:
// 1_0 is a number to it, a tab on an empty line and a byte order mark are in
// its way, and a colon inside braces always ends a key.
var foreign = regexp.MustCompile(`[0-9]_|(?m:^[ \r]*\t)|^\x{feff}|\{.*:\S`)

func TestOracle(t *testing.T) {
	for _, tt := range trees {
		t.Run(tt.name, func(t *testing.T) { checkOracle(t, tt.text) })
	}
	checkOracle(t, string(Reference()))
}
