package config

import "fmt"

// list is the shape of a list. Its items are known by their place in the file
// and by their name in the settings: in messages services[1], in changes
// services[login].
type list[T any] struct {
	of    shape[T]
	noun  string // the items, in messages: "services"
	fresh T      // what reading an item starts from
	least int
	most  int
	// id names an item for comparison, so that moving it is no change. Without
	// one the list is compared as a whole.
	id func(T) string
}

// read keeps faulty items too, so that indexes in messages agree with the file.
func (l list[T]) read(r *reader, n *node, p path, into *[]T) {
	*into = nil
	switch {
	case n.kind == kindBroken:
		return
	case n.kind != kindList:
		r.fault(n.at, p, "put it in brackets, [ ], or behind a dash on a line of its own", "is %s and must be a list of %s", n.kind, l.noun)
		return
	}
	if len(n.items) < l.least {
		r.fault(n.at, p, fmt.Sprintf("list at least %d", l.least), "is empty")
	}
	for i, item := range n.items {
		below := p.item(i)
		if i == l.most {
			r.fault(item.at, below, "keep what fits", "%d %s are more than the limit of %d", len(n.items), l.noun, l.most)
			return
		}
		r.places[below] = item.at
		v := l.fresh
		l.of.read(r, item, below, &v)
		*into = append(*into, v)
	}
}

func (l list[T]) print(v []T) *node {
	n := &node{kind: kindList}
	for _, item := range v {
		n.items = append(n.items, l.of.print(item))
	}
	return n
}

// diff reports what went before what came: whoever acts on it in this order
// never holds more than the larger of the two lists needs.
func (l list[T]) diff(old, new []T, p path, report func(Change)) {
	if l.id == nil {
		if was, is := l.inline(old), l.inline(new); was != is {
			report(Change{Path: string(p), Old: was, New: is})
		}
		return
	}
	was, is := l.byID(old), l.byID(new)
	for _, v := range old {
		if _, kept := is[l.id(v)]; !kept {
			report(Change{Path: string(p.item(l.id(v))), Old: inline(l.of.print(v))})
		}
	}
	for _, v := range new {
		below := p.item(l.id(v))
		if before, known := was[l.id(v)]; known {
			l.of.diff(before, v, below, report)
		} else {
			report(Change{Path: string(below), New: inline(l.of.print(v))})
		}
	}
}

// inline writes the list on one line, nothing for an empty one.
func (l list[T]) inline(v []T) string {
	if len(v) == 0 {
		return ""
	}
	return inline(l.print(v))
}

func (l list[T]) byID(items []T) map[string]T {
	m := make(map[string]T, len(items))
	for _, v := range items {
		m[l.id(v)] = v
	}
	return m
}

func (l list[T]) schema(variables bool) object {
	o := object{"type": "array", "items": l.of.schema(variables), "maxItems": l.most}
	if l.least > 0 {
		o["minItems"] = l.least
	}
	return o
}
