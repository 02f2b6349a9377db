package config

// kind is what a value is by its looks, before anyone asks what it should be.
type kind uint8

const (
	// kindBroken stands for a value whose fault is already reported; whoever
	// reads it passes over it in silence.
	kindBroken kind = iota
	kindText
	kindNumber
	kindBool
	kindNull
	kindList
	kindMapping
)

// String returns the kind as messages name it.
func (k kind) String() string {
	return [...]string{"broken", "text", "a number", "true or false", "empty", "a list", "a mapping"}[k]
}

// position is a place in the file: line and column from 1, the column in
// characters. The zero position is no place.
type position struct{ line, column int }

// node is one value of a settings file, read or about to be written.
type node struct {
	kind kind
	at   position
	// text is a scalar as it was written, with quotes and escapes resolved.
	text  string
	items []*node // of a list
	pairs []pair  // of a mapping, in the order of the file
}

// pair is one key of a mapping with its value.
type pair struct{ key, value *node }

// textNode makes a node that is to be written.
func textNode(text string) *node { return &node{kind: kindText, text: text} }

// add appends a key to a mapping that is to be written.
func (n *node) add(key string, value *node) {
	n.pairs = append(n.pairs, pair{key: textNode(key), value: value})
}

// empty tells whether the value says nothing, so that writing it is idle.
func (n *node) empty() bool {
	switch n.kind {
	case kindText, kindNumber:
		return n.text == ""
	case kindList:
		return len(n.items) == 0
	case kindMapping:
		return len(n.pairs) == 0
	default:
		return false
	}
}

// scalar tells whether the value is neither a list nor a mapping.
func (n *node) scalar() bool { return n.kind != kindList && n.kind != kindMapping }
