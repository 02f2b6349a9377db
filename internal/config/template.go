package config

import "strings"

// template is the shape of an address in which ${variables} are not this node's
// alone: it is kept as the file has it, for a rule to replace them node by node.
type template struct{ example string }

func (t template) read(r *reader, n *node, p path, into *string) {
	*into = ""
	switch n.kind {
	case kindBroken:
	case kindText:
		if _, wellFormed, _ := substitute(n.text, func(string) (string, bool) { return "", true }); !wellFormed {
			r.malformed(n, p)
			return
		}
		if !strings.Contains(n.text, "${") {
			if _, problem, remedy := parseUnicast(n.text); problem != "" {
				r.fault(n.at, p, remedy, "%s", problem)
				return
			}
		}
		*into = n.text
	default:
		r.fault(n.at, p, "write one such as "+t.example, "is %s and must be text", n.kind)
	}
}

func (t template) print(v string) *node { return textNode(v) }

func (t template) diff(old, new string, p path, report func(Change)) {
	if old != new {
		report(Change{Path: string(p), Old: old, New: new})
	}
}

func (t template) schema(bool) object { return object{"type": "string"} }
