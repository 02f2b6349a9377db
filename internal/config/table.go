package config

import (
	"maps"
	"slices"
)

// table is the shape of a mapping whose keys are names that the operator
// chooses. Its values have no defaults: each is read from nothing.
type table[T any] struct {
	of   shape[T]
	noun string // what a key names, in messages: "a node"
	name leaf[string]
	most int
}

// read takes a key in under a bad name too: the name is reported once, and not
// again by all that refers to it.
func (t table[T]) read(r *reader, n *node, p path, into *map[string]T) {
	*into = nil
	switch {
	case n.kind == kindBroken:
		return
	case n.kind != kindMapping:
		r.fault(n.at, p, "write {name: ...}", "is %s and must be a mapping by the name of %s", n.kind, t.noun)
		return
	}
	values := r.pairs(n, p, nil)
	for i, pair := range n.pairs {
		below := p.key(pair.key.text)
		if i == t.most {
			r.fault(pair.key.at, below, "keep what fits", "%d keys are more than the limit of %d", len(n.pairs), t.most)
			return
		}
		if values[pair.key.text] != pair.value {
			continue // repeated or broken, and reported
		}
		if _, problem, remedy := t.name.parse(pair.key.text); problem != "" {
			r.fault(pair.key.at, below, remedy, "%s", problem)
		}
		r.places[below] = pair.value.at
		var v T
		t.of.read(r, pair.value, below, &v)
		if *into == nil {
			*into = make(map[string]T, len(n.pairs))
		}
		(*into)[pair.key.text] = v
	}
}

// print writes the keys in alphabetical order, for maps have none.
func (t table[T]) print(v map[string]T) *node {
	n := &node{kind: kindMapping}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		n.add(name, t.of.print(v[name]))
	}
	return n
}

func (t table[T]) diff(old, new map[string]T, p path, report func(Change)) {
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if _, kept := new[name]; !kept {
			report(Change{Path: string(p.key(name)), Old: inline(t.of.print(old[name]))})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(new)) {
		if before, known := old[name]; known {
			t.of.diff(before, new[name], p.key(name), report)
		} else {
			report(Change{Path: string(p.key(name)), New: inline(t.of.print(new[name]))})
		}
	}
}

func (t table[T]) schema(variables bool) object {
	return object{
		"type":                 "object",
		"propertyNames":        object{"pattern": t.name.limits["pattern"]},
		"additionalProperties": t.of.schema(variables),
		"maxProperties":        t.most,
	}
}
