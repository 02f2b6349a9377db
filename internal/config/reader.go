package config

import (
	"fmt"
	"slices"
	"strings"
)

// reader carries what is needed while the tree of a file becomes settings: it
// collects the faults and remembers where every value stood, for the rules
// between values that are checked later.
type reader struct {
	faults    Faults
	warnings  Faults
	places    map[path]position
	variables variables
	// templates are the texts of values with variables, for rules that ask what
	// another node makes of them.
	templates map[path]string
	// local is set within sections that belong to one node and therefore hold
	// no variables.
	local bool
}

// fault reports what is wrong with the value at p.
func (r *reader) fault(at position, p path, remedy, format string, args ...any) {
	r.faults.addf(at, p, remedy, format, args...)
}

// warn reports what is legal and yet hardly meant.
func (r *reader) warn(at position, p path, remedy, format string, args ...any) {
	r.warnings.addf(at, p, remedy, format, args...)
}

// given tells whether the file sets p itself.
func (r *reader) given(p path) bool {
	_, ok := r.places[p]
	return ok
}

// place is where p stands in the file. What the file leaves out is at the
// nearest value around it.
func (r *reader) place(p path) position {
	for {
		if at, ok := r.places[p]; ok || p == "" {
			return at
		}
		p = p[:max(0, strings.LastIndexAny(string(p), ".["))]
	}
}

// pairs returns the values of a mapping by key and reports keys that are
// unknown or repeated. With nil for known, any key is.
func (r *reader) pairs(n *node, p path, known []string) map[string]*node {
	values, keys := make(map[string]*node, len(n.pairs)), make(map[string]*node, len(n.pairs))
	for _, pair := range n.pairs {
		key := pair.key.text
		first, repeated := keys[key]
		switch {
		case pair.key.kind == kindBroken:
		case known != nil && !slices.Contains(known, key):
			r.unknown(pair.key, p, known)
		case repeated:
			r.fault(pair.key.at, p.key(key), "keep one of the two", "repeats the key of line %d", first.at.line)
		default:
			values[key], keys[key] = pair.value, pair.key
		}
	}
	return values
}

// unknown reports a key that is not known.
func (r *reader) unknown(key *node, p path, known []string) {
	remedy := ""
	if !r.faults.full() {
		remedy = suggest(key.text, known)
	}
	r.fault(key.at, p.key(key.text), remedy, "unknown key")
}

// scalar returns the text of a value that is to be text or a number, with its
// variables replaced. A number or boolean in place of text is left to the
// caller; anything else that does not fit is reported. example shows what was
// expected.
func (r *reader) scalar(n *node, p path, want kind, example string) (string, bool) {
	switch {
	case n.kind == kindBroken:
		return "", false
	case n.kind == kindNull:
		r.fault(n.at, p, fmt.Sprintf("write one, such as %s, or remove the key", example), "has no value")
		return "", false
	case n.kind == kindText && strings.Contains(n.text, "${"):
		return r.expand(n, p)
	case n.kind == want, want == kindText && n.scalar():
		return n.text, true
	case n.scalar():
		r.fault(n.at, p, "write it without quotes, such as "+example, "is %s and must be %s", n.kind, want)
		return "", false
	default:
		r.fault(n.at, p, "write one such as "+example, "is %s and must be %s", n.kind, want)
		return "", false
	}
}
