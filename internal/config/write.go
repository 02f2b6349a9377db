package config

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// bare is text that needs no quotes: a word, or a time span. Anything that
// some reader of YAML takes for more than text stays outside.
var bare = regexp.MustCompile(`^([A-Za-z_/][A-Za-z0-9_./-]*|([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+)$`)

// keyword are the words that YAML 1.1 or 1.2 takes for something else.
var keyword = regexp.MustCompile(`^(?i:y|n|yes|no|on|off|true|false|null)$`)

// write returns the value as YAML, with one line per setting: what holds
// scalars only stands in brackets.
func write(n *node) []byte {
	var b bytes.Buffer
	writeBlock(&b, n, "", "")
	return b.Bytes()
}

// writeBlock writes lists and mappings by indentation. lead goes before the
// first line, in place of its indent.
func writeBlock(b *bytes.Buffer, n *node, lead, indent string) {
	if n.flat() {
		b.WriteString(lead + inline(n) + "\n")
		return
	}
	for _, pair := range n.pairs {
		b.WriteString(lead + scalarText(pair.key) + ":")
		lead = indent
		if pair.value.flat() {
			writeBlock(b, pair.value, " ", "")
			continue
		}
		b.WriteString("\n")
		writeBlock(b, pair.value, indent+"  ", indent+"  ")
	}
	for _, item := range n.items {
		writeBlock(b, item, lead+"- ", indent+"  ")
		lead = indent
	}
}

// flat tells whether a value is to stand on one line.
func (n *node) flat() bool {
	for _, item := range n.items {
		if !item.scalar() {
			return false
		}
	}
	for _, pair := range n.pairs {
		if !pair.value.scalar() {
			return false
		}
	}
	return true
}

// inline writes a value on one line, as it stands in the file and in changes.
func inline(n *node) string {
	parts := make([]string, 0, len(n.items)+len(n.pairs))
	for _, item := range n.items {
		parts = append(parts, inline(item))
	}
	for _, pair := range n.pairs {
		parts = append(parts, scalarText(pair.key)+": "+inline(pair.value))
	}
	switch n.kind {
	case kindList:
		return "[" + strings.Join(parts, ", ") + "]"
	case kindMapping:
		return "{" + strings.Join(parts, ", ") + "}"
	default:
		return scalarText(n)
	}
}

// scalarText writes a scalar, in quotes where it needs them.
func scalarText(n *node) string {
	switch {
	case n.kind == kindNull:
		return "null" // a value left out has no text of its own
	case n.kind != kindText, bare.MatchString(n.text) && !keyword.MatchString(n.text):
		return n.text
	default:
		return quoteYAML(n.text)
	}
}

// quoteYAML writes text in double quotes. Go's escapes for runes are YAML's;
// only a byte that is no UTF-8 would not be, and no text from a file has one.
func quoteYAML(text string) string {
	return strconv.Quote(strings.ToValidUTF8(text, "\uFFFD"))
}

// plain returns a scalar as encoding/json takes it.
func (n *node) plain() any {
	switch n.kind {
	case kindNumber:
		return json.Number(n.text)
	case kindBool:
		return n.text == "true"
	}
	return n.text
}

// MarshalJSON writes the tree as JSON, with the keys in their order: a Go map
// would sort them, and the order of the description is the one people know.
func (n *node) MarshalJSON() ([]byte, error) {
	switch n.kind {
	case kindList:
		return json.Marshal(append([]*node{}, n.items...))
	case kindMapping:
		b := []byte{'{'}
		for i, pair := range n.pairs {
			if i > 0 {
				b = append(b, ',')
			}
			key, err := json.Marshal(pair.key.text)
			if err != nil {
				return nil, err
			}
			value, err := pair.value.MarshalJSON()
			if err != nil {
				return nil, err
			}
			b = append(append(append(b, key...), ':'), value...)
		}
		return append(b, '}'), nil
	default:
		return json.Marshal(n.plain())
	}
}
