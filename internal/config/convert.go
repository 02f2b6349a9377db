package config

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// maxDepth bounds the nesting of lists and mappings, and with it the stack.
// Settings nest five deep.
const maxDepth = 32

// convert returns the library's tree as ours. What settings do not know of
// YAML is reported and left as a broken value, so that reading goes on.
func (r *reader) convert(y *yaml.Node, depth int) *node {
	n := &node{kind: kindBroken, at: place(y), text: y.Value}
	if problem, remedy := foreign(y, depth); problem != "" {
		r.faults.add(faultAt(n.at, problem, remedy))
		return n
	}
	switch y.Kind {
	case yaml.SequenceNode:
		n.kind = kindList
		n.items = make([]*node, len(y.Content))
		for i, item := range y.Content {
			n.items[i] = r.convert(item, depth+1)
		}
	case yaml.MappingNode:
		n.kind = kindMapping
		n.pairs = make([]pair, len(y.Content)/2)
		for i := range n.pairs {
			n.pairs[i] = r.convertPair(y.Content[2*i], y.Content[2*i+1], depth+1)
		}
	default:
		n.kind = scalarKind(y)
	}
	return n
}

// convertPair is convert for a key and its value. A value left out that the
// library places on a later line, perhaps below the text, is put at its key.
func (r *reader) convertPair(key, value *yaml.Node, depth int) pair {
	p := pair{key: r.convertKey(key, depth), value: r.convert(value, depth)}
	if p.value.kind == kindNull && p.value.text == "" && p.value.at.line > p.key.at.line {
		p.value.at = p.key.at
	}
	return p
}

// convertKey is convert for a key. Keys are names, whatever they look like.
func (r *reader) convertKey(y *yaml.Node, depth int) *node {
	n := r.convert(y, depth)
	switch {
	case n.kind == kindBroken:
	case !n.scalar():
		r.faults.add(faultAt(n.at, fmt.Sprintf("a key is %s", n.kind), "write {key: value} with a name for the key"))
		n.kind = kindBroken
	case y.Tag == "!!merge":
		r.faults.add(faultAt(n.at, "merge keys are not known here", "write out what is to be merged"))
		n.kind = kindBroken
	default:
		n.kind = kindText
	}
	return n
}

// foreign says what is wrong with a value that settings cannot hold whatever
// it stands for. Aliases would make the meaning of a line depend on others and
// small files large; tags have nothing to add.
func foreign(y *yaml.Node, depth int) (problem, remedy string) {
	switch {
	case y.Kind == yaml.AliasNode:
		return "aliases are not known here", "write out the value, or put quotes around text that begins with *"
	case y.Anchor != "":
		return "anchors are not known here", "remove it, or put quotes around text that begins with &"
	case y.Style&yaml.TaggedStyle != 0:
		return "tags are not known here", "remove it, or put quotes around text that begins with !"
	case depth > maxDepth && y.Kind != yaml.ScalarNode:
		return fmt.Sprintf("lists and mappings nest more than %d deep", maxDepth), "no setting is that deep"
	default:
		return "", ""
	}
}

// scalarKind is what YAML takes a scalar for by its looks. Dates are text to
// us: no setting is one.
func scalarKind(y *yaml.Node) kind {
	switch y.Tag {
	case "!!int", "!!float":
		return kindNumber
	case "!!bool":
		return kindBool
	case "!!null":
		return kindNull
	default:
		return kindText
	}
}
