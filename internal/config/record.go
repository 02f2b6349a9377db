package config

import (
	"fmt"
	"strings"
)

// record is the shape of a mapping with a fixed set of keys.
type record[T any] struct {
	noun string // one of it, in messages: "a service"
	doc  string
	// defaults are the values that reading starts from.
	defaults T
	fields   []field[T]
	// alone names the key that a bare value stands for, so that a list of
	// mappings may hold plain text; empty where nothing may be left out.
	alone string
}

// field is one key of a record. The zero value of each option is the usual.
type field[T any] struct {
	name string
	doc  string

	required bool
	restart  bool          // a change takes effect with the next start
	local    bool          // belongs to one node and holds no variables
	applies  func(*T) bool // whether the value means anything; nil = always
	unset    string        // what leaving it out means, where no fixed value does

	read   func(r *reader, n *node, p path, into *T)
	print  func(v *T) *node
	diff   func(old, new *T, p path, report func(Change))
	schema func(variables bool) object
}

// key describes one key: at returns where its value lives in T.
func key[T, F any](name, doc string, at func(*T) *F, s shape[F]) field[T] {
	return field[T]{
		name:  name,
		doc:   doc,
		read:  func(r *reader, n *node, p path, into *T) { s.read(r, n, p, at(into)) },
		print: func(v *T) *node { return s.print(*at(v)) },
		diff: func(old, new *T, p path, report func(Change)) {
			s.diff(*at(old), *at(new), p, report)
		},
		schema: s.schema,
	}
}

// must makes the key obligatory.
func (f field[T]) must() field[T] { f.required = true; return f }

// restarts marks a key whose change takes effect with the next start only.
func (f field[T]) restarts() field[T] { f.restart = true; return f }

// ofNode marks a key that belongs to one node.
func (f field[T]) ofNode() field[T] { f.local = true; return f }

// when limits the key to values of T for which it means anything.
func (f field[T]) when(applies func(*T) bool) field[T] { f.applies = applies; return f }

// otherwise says what leaving the key out means.
func (f field[T]) otherwise(unset string) field[T] { f.unset = unset; return f }

// read goes through the keys in the order of the description, not of the file:
// later ones may rest on earlier ones, as variables do on node and nodes.
func (s record[T]) read(r *reader, n *node, p path, into *T) {
	switch {
	case n.kind == kindMapping:
	case n.scalar() && n.kind != kindNull && s.alone != "":
		s.field(s.alone).read(r, n, p, into)
		return
	default:
		var zero T
		*into = zero
		if n.kind == kindBroken {
			return
		}
		r.fault(n.at, p, "write its keys, "+strings.Join(s.names(), ", ")+", each with a value", "is %s and must be %s", n.kind, s.noun)
		return
	}
	values := r.pairs(n, p, s.names())
	for _, f := range s.fields {
		value := values[f.name]
		if value == nil {
			if f.required {
				r.fault(n.at, p, "add the key", "has no %s", f.name)
			}
			continue
		}
		below := p.key(f.name)
		r.places[below] = value.at
		outer := r.local
		r.local = outer || f.local
		f.read(r, value, below, into)
		r.local = outer
	}
}

// print leaves out what is empty, which is the same as not being there.
func (s record[T]) print(v T) *node {
	n := &node{kind: kindMapping}
	for _, f := range s.fields {
		if value := f.print(&v); f.means(&v) && !value.empty() {
			n.add(f.name, value)
		}
	}
	return n
}

// diff compares key by key. A value that only one of the two can have, because
// of its mode, counts as absent in the other whatever the Go field holds.
func (s record[T]) diff(old, new T, p path, report func(Change)) {
	for _, f := range s.fields {
		below := p.key(f.name)
		tell := func(c Change) {
			c.NeedsRestart = c.NeedsRestart || f.restart
			report(c)
		}
		if f.means(&old) && f.means(&new) {
			f.diff(&old, &new, below, tell)
		} else if was, is := f.inline(&old), f.inline(&new); was != is {
			tell(Change{Path: string(below), Old: was, New: is})
		}
	}
}

// means tells whether the key means anything in v.
func (f field[T]) means(v *T) bool { return f.applies == nil || f.applies(v) }

// inline writes the value on one line, nothing where it means nothing.
func (f field[T]) inline(v *T) string {
	if value := f.print(v); f.means(v) && !value.empty() {
		return inline(value)
	}
	return ""
}

// schema refuses keys that it does not describe, as read does, so that the
// editor marks a slip while it is being typed.
func (s record[T]) schema(variables bool) object {
	properties, required := object{}, []string{}
	for _, f := range s.fields {
		property := f.schema(variables && !f.local)
		property["description"] = f.description()
		if value := f.print(&s.defaults); value.scalar() && !value.empty() && !f.required && f.unset == "" {
			property["default"] = value.plain()
		}
		properties[f.name] = property
		if f.required {
			required = append(required, f.name)
		}
	}
	o := object{"type": "object", "description": s.doc, "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		o["required"] = required
	}
	if s.alone != "" {
		return object{"anyOf": []any{s.field(s.alone).schema(variables), o}}
	}
	return o
}

// description is the text an editor shows beside the key.
func (f field[T]) description() string {
	text := f.doc
	if f.unset != "" {
		text += fmt.Sprintf(" Left out: %s.", f.unset)
	}
	if f.restart {
		text += " A change takes effect with the next start."
	}
	return text
}

// names lists the keys in the order of the description.
func (s record[T]) names() []string {
	names := make([]string, len(s.fields))
	for i, f := range s.fields {
		names[i] = f.name
	}
	return names
}

// field returns the key of that name, which the description promises to have.
func (s record[T]) field(name string) field[T] {
	for _, f := range s.fields {
		if f.name == name {
			return f
		}
	}
	panic("config: no key " + name)
}
