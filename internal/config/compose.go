package config

import (
	"fmt"
	"regexp"
	"strings"
)

// maxDepth bounds the nesting of lists and mappings, and with it the stack.
// Settings nest five deep.
const maxDepth = 32

// numeric is what YAML takes for a number when it is not quoted.
var numeric = regexp.MustCompile(`^(?i:[-+]?([0-9]+|0o[0-7]+|0x[0-9a-f]+|(\.[0-9]+|[0-9]+(\.[0-9]*)?)(e[-+]?[0-9]+)?|\.inf)|\.nan)$`)

// composer builds the tree of values from tokens. Its first fault is its last:
// after it nobody knows what belongs to what.
type composer struct {
	tokens []token
	next   int
}

// compose returns the tree of a file, nil for one without any value.
func compose(tokens []token) (*node, *Fault) {
	c := composer{tokens: tokens}
	if t := c.peek(); t != nil && t.kind == tokenDocument {
		c.next++
		if after := c.peek(); after != nil && !after.leads {
			return nil, faultAt(after.at, "settings cannot begin on the line of ---", "begin on the next line")
		}
	}
	if t := c.peek(); t == nil || t.kind == tokenDocumentEnd {
		return nil, c.end()
	}
	root, fault := c.block(1)
	if fault != nil {
		return nil, fault
	}
	return root, c.end()
}

// end checks that nothing is left.
func (c *composer) end() *Fault {
	if t := c.peek(); t != nil && t.kind == tokenDocumentEnd {
		c.next++
	}
	switch t := c.peek(); {
	case t == nil:
		return nil
	case t.kind == tokenDocument || t.kind == tokenDocumentEnd || c.tokens[c.next-1].kind == tokenDocumentEnd:
		return faultAt(t.at, "a second document begins", "keep all settings in one document")
	case t.leads:
		return faultAt(t.at, "this line fits nothing above it",
			"align it with the lines it belongs to; text cannot go on over several lines")
	default:
		return faultAt(t.at, fmt.Sprintf("%s does not belong here", quote(t.text)),
			`put quotes around the whole text, a space behind the colon of a key and each key on a line of its own`)
	}
}

// peek is the next token, nil at the end.
func (c *composer) peek() *token {
	if c.next == len(c.tokens) {
		return nil
	}
	return &c.tokens[c.next]
}

// take moves over the next token.
func (c *composer) take() *token {
	c.next++
	return &c.tokens[c.next-1]
}

// keyAhead tells whether a key and its colon come next.
func (c *composer) keyAhead() bool {
	return c.next+1 < len(c.tokens) &&
		c.tokens[c.next].kind == tokenScalar && c.tokens[c.next+1].kind == tokenColon &&
		c.tokens[c.next].at.line == c.tokens[c.next+1].at.line
}

// block takes a value that stands by its indentation: a list of dashes, a
// mapping, or on the rest of the line anything else.
func (c *composer) block(depth int) (*node, *Fault) {
	t := c.peek()
	switch {
	case depth > maxDepth:
		return nil, tooDeep(t)
	case t.kind == tokenDash:
		return c.blockList(depth)
	case c.keyAhead():
		return c.blockMapping(depth)
	default:
		return c.flow(depth)
	}
}

// blockList takes the items that stand behind dashes in one column. A dash in
// another column, or amid a line, is left over and reported by end.
func (c *composer) blockList(depth int) (*node, *Fault) {
	list := &node{kind: kindList, at: c.peek().at}
	for t := c.peek(); t != nil && t.kind == tokenDash && t.at.column == list.at.column &&
		(t.leads || t.at == list.at); t = c.peek() {
		dash := c.take()
		item := missing(dash)
		if t := c.peek(); t != nil && (t.at.line == dash.at.line || t.at.column > dash.at.column) {
			var fault *Fault
			if item, fault = c.block(depth + 1); fault != nil {
				return nil, fault
			}
		}
		list.items = append(list.items, item)
	}
	return list, nil
}

// blockMapping takes the keys that stand in one column. The first may follow a
// dash on its line, the others have to lead theirs.
func (c *composer) blockMapping(depth int) (*node, *Fault) {
	mapping := &node{kind: kindMapping, at: c.peek().at}
	for t := c.peek(); c.keyAhead() && t.at.column == mapping.at.column &&
		(t.leads || t.at == mapping.at); t = c.peek() {
		key, colon := c.take(), c.take()
		value, fault := c.blockValue(key, colon, depth)
		if fault != nil {
			return nil, fault
		}
		mapping.pairs = append(mapping.pairs, pair{key: keyNode(key), value: value})
	}
	return mapping, nil
}

// blockValue takes what stands behind the colon of a key. A list may stand
// below its key without further indentation.
func (c *composer) blockValue(key, colon *token, depth int) (*node, *Fault) {
	t := c.peek()
	switch {
	case t == nil:
		return missing(colon), nil
	case t.at.line == colon.at.line:
		if t.kind == tokenDash || c.keyAhead() {
			return nil, faultAt(t.at, "a list or another key begins on the line of a key",
				"begin it on the next line, or put quotes around text that contains a colon or begins with a dash")
		}
	case t.at.column < key.at.column, t.at.column == key.at.column && t.kind != tokenDash:
		return missing(colon), nil
	}
	return c.block(depth + 1)
}

// flow takes a value that stands by its brackets, or plain or quoted text.
// Inside brackets indentation means nothing.
func (c *composer) flow(depth int) (*node, *Fault) {
	switch t := c.take(); {
	case depth > maxDepth:
		return nil, tooDeep(t)
	case t.kind == tokenScalar:
		return scalarNode(t), nil
	case t.kind == tokenOpenList:
		return c.flowList(t, depth)
	case t.kind == tokenOpenMapping:
		return c.flowMapping(t, depth)
	default:
		return nil, faultAt(t.at, fmt.Sprintf("%s stands where a value is expected", quote(t.text)),
			"give the value, or put quotes around text that begins like this")
	}
}

// flowList takes the items up to the closing bracket.
func (c *composer) flowList(open *token, depth int) (*node, *Fault) {
	list := &node{kind: kindList, at: open.at}
	for {
		if t := c.peek(); t == nil || t.kind == tokenCloseList {
			return list, c.shut(open)
		}
		item, fault := c.flow(depth + 1)
		if fault == nil {
			fault = c.separate(open, tokenCloseList)
		}
		if fault != nil {
			return nil, fault
		}
		list.items = append(list.items, item)
	}
}

// flowMapping takes the keys up to the closing brace.
func (c *composer) flowMapping(open *token, depth int) (*node, *Fault) {
	mapping := &node{kind: kindMapping, at: open.at}
	for {
		t := c.peek()
		switch {
		case t == nil || t.kind == tokenCloseMapping:
			return mapping, c.shut(open)
		case !c.keyAhead():
			return nil, faultAt(t.at, fmt.Sprintf("%s stands where a key is expected", quote(t.text)),
				`write {key: value}, with a space behind the colon, and quotes around a value such as "${name}"`)
		}
		key, colon := c.take(), c.take()
		value, fault := missing(colon), (*Fault)(nil)
		if t := c.peek(); t != nil && t.kind != tokenComma && t.kind != tokenCloseMapping {
			value, fault = c.flow(depth + 1)
		}
		if fault == nil {
			fault = c.separate(open, tokenCloseMapping)
		}
		if fault != nil {
			return nil, fault
		}
		mapping.pairs = append(mapping.pairs, pair{key: keyNode(key), value: value})
	}
}

// separate takes the comma behind an item; the last one may have one too.
func (c *composer) separate(open *token, closing tokenKind) *Fault {
	t := c.peek()
	switch {
	case t == nil:
		return c.shut(open)
	case t.kind == tokenComma:
		c.next++
	case t.kind != closing:
		return faultAt(t.at, fmt.Sprintf("%s stands where a comma or the end of %s is expected", quote(t.text), quote(open.text)),
			`put quotes around text with colons or braces, such as "${name}"`)
	}
	return nil
}

// shut takes the bracket that closes. Where it is missing, the one that opened
// is reported: the end of the file tells nobody where to look.
func (c *composer) shut(open *token) *Fault {
	if c.peek() == nil {
		return faultAt(open.at, fmt.Sprintf("%s is not closed", quote(open.text)), "add the closing bracket")
	}
	c.next++
	return nil
}

// keyNode is a key. Keys are names, whatever they look like.
func keyNode(t *token) *node {
	n := scalarNode(t)
	if n.kind != kindBroken {
		n.kind = kindText
	}
	return n
}

// scalarNode is the value of a scalar token.
func scalarNode(t *token) *node {
	n := &node{kind: kindText, at: t.at, text: t.text}
	switch {
	case t.broken:
		n.kind = kindBroken
	case t.quoted:
	case numeric.MatchString(t.text):
		n.kind = kindNumber
	case t.text == "~" || strings.EqualFold(t.text, "null"):
		n.kind = kindNull
	case strings.EqualFold(t.text, "true") || strings.EqualFold(t.text, "false"):
		n.kind = kindBool
	}
	return n
}

// missing is the value of a key or dash that has none, placed right behind it.
func missing(after *token) *node {
	return &node{kind: kindNull, at: position{after.at.line, after.at.column + 1}}
}

func tooDeep(t *token) *Fault {
	return faultAt(t.at, fmt.Sprintf("lists and mappings nest more than %d deep", maxDepth), "no setting is that deep")
}
