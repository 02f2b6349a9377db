package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

var variableName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// variables are the values that ${name} stands for on this node.
type variables struct {
	// settings are those being read: node and nodes come first in the
	// description, so both are known before anything may refer to them.
	settings *Settings
	// self is the node they are read for, where the text does not decide it.
	self *Node
	used map[string]bool
	// templated are those that rules replace for several nodes.
	templated map[string]bool
}

// expand replaces the variables in a text. $${ stands for ${ itself.
func (r *reader) expand(n *node, p path) (string, bool) {
	if r.local {
		r.fault(n.at, p, "write the value itself", "holds a variable, which node and nodes cannot")
		return "", false
	}
	if r.templates == nil {
		r.templates = map[path]string{}
	}
	r.templates[p] = n.text
	text, wellFormed, ok := substitute(n.text, func(name string) (string, bool) { return r.variable(n, p, name) })
	if !wellFormed {
		r.malformed(n, p)
	}
	return text, ok
}

// malformed reports a text that substitute cannot read.
func (r *reader) malformed(n *node, p path) {
	r.fault(n.at, p, "write ${name} with a name in lower case, or $${ for the text itself", "%s has no variable's name behind ${", quote(n.text))
}

// substitute replaces the variables in a text by what value says. ok is false
// where that says no, or the text is not well formed.
func substitute(text string, value func(name string) (string, bool)) (out string, wellFormed, ok bool) {
	var b strings.Builder
	rest := text
	for {
		before, after, found := strings.Cut(rest, "${")
		if !found {
			b.WriteString(rest)
			return b.String(), true, true
		}
		if literal, escaped := strings.CutSuffix(before, "$"); escaped {
			b.WriteString(literal + "${")
			rest = after
			continue
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed || !variableName.MatchString(name) {
			return "", false, false
		}
		v, known := value(name)
		if !known {
			return "", true, false
		}
		b.WriteString(before + v)
		rest = tail
	}
}

// node is the name of the node that the settings are read for.
func (v variables) node() string {
	if v.self != nil {
		return v.self.Name
	}
	return v.settings.Node.Name
}

// variable returns this node's value of a variable, and false where there is
// none and that is reported.
func (r *reader) variable(n *node, p path, name string) (string, bool) {
	r.variables.used[name] = true
	node, nodes := r.variables.node(), r.variables.settings.Nodes
	if node == "" || nodes == nil && r.given("nodes") {
		return "", false // the reason is reported where they stand
	}
	values, listed := nodes[node]
	if !listed {
		r.fault(n.at, p, fmt.Sprintf("add %s to nodes, or set node.name to one that is there", node),
			"uses ${%s}, but nodes has no node %s", name, quote(node))
		return "", false
	}
	value, ok := values[name]
	if !ok {
		remedy := "define it there"
		if len(values) > 0 {
			remedy = suggest(name, slices.Sorted(maps.Keys(values)))
		}
		r.fault(n.at, p, remedy, "uses ${%s}, which %s does not define", name, path("nodes").key(node))
	}
	return value, value != "" // an empty one is a fault of its own
}

// checkVariables warns of variables that this node can do without but that
// point to a slip.
//
// One that is used nowhere is no fault: nodes also holds what other nodes, a
// newer version of them or programs beside us look up by name, such as a
// gateway's region. One that another node lacks is a fault only there: the
// same file reaches each node, and this one can go on.
func (r *reader) checkVariables() {
	nodes := r.variables.settings.Nodes
	own := nodes[r.variables.node()]
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		for _, name := range slices.Sorted(maps.Keys(nodes[node])) {
			if p := path("nodes").key(node).key(name); !r.variables.used[name] && !r.variables.templated[name] {
				r.warn(r.place(p), p, "remove it, or check the spelling where it should be used", "no setting uses ${%s}", name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(own)) {
			if _, ok := nodes[node][name]; !ok && r.variables.used[name] {
				p := path("nodes").key(node)
				r.warn(r.place(p), p, "define it there", "does not define ${%s}, so this node will refuse the settings", name)
			}
		}
	}
}

// escapeVariables makes a text mean itself when it is read again.
func escapeVariables(text string) string { return strings.ReplaceAll(text, "${", "$${") }
