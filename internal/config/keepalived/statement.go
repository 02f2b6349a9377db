package keepalived

import (
	"fmt"
	"strings"
)

// statement is a keyword with its values and, in braces, what it holds.
type statement struct {
	words []word
	block []*statement
	holds bool // there are braces, even around nothing
	at    position
}

// keyword is the first word, empty where there is none.
func (s *statement) keyword() string { return s.word(0) }

// word is the text of a word, empty where it is not there.
func (s *statement) word(i int) string {
	if i >= len(s.words) {
		return ""
	}
	return s.words[i].text
}

// parse puts words together to statements. A block may begin on the line of its
// keyword or on the next.
func (s *source) parse(words []word) []*statement {
	p := parser{source: s, rest: words}
	all := p.statements(0)
	if len(p.rest) > 0 && len(s.faults) == 0 {
		s.fault(p.rest[0].at, "has a } without its {", "remove it, or look for the { above")
	}
	return all
}

type parser struct {
	*source
	rest []word
}

// statements reads up to the brace that closes a block, which it leaves.
func (p *parser) statements(depth int) (all []*statement) {
	var current *statement
	for len(p.rest) > 0 {
		w := p.rest[0]
		switch w.mark {
		case close_:
			return all
		case end:
			current = nil
			p.rest = p.rest[1:]
		case open:
			if current == nil && len(all) > 0 && !all[len(all)-1].holds {
				current = all[len(all)-1]
			}
			if current == nil || depth == maxBlocks {
				p.fault(w.at, "has a { that belongs to no keyword, or blocks nest more than "+fmt.Sprint(maxBlocks)+" deep", "write it behind its keyword")
				p.rest = nil
				return all
			}
			p.block(current, w, depth)
			current = nil
		default:
			if current == nil {
				current = &statement{at: w.at}
				all = append(all, current)
			}
			current.words = append(current.words, w)
			p.rest = p.rest[1:]
		}
	}
	return all
}

// block reads what stands in braces.
func (p *parser) block(of *statement, at word, depth int) {
	p.rest = p.rest[1:]
	of.holds = true
	of.block = p.statements(depth + 1)
	if len(p.rest) == 0 {
		if len(p.faults) == 0 {
			p.fault(at.at, fmt.Sprintf("the { of %s is not closed", quote(of.keyword())), "add a } where it ends")
		}
		return
	}
	p.rest = p.rest[1:]
}

// leave lists a statement that has no counterpart, and says why.
func (s *source) leave(of *statement, format string, args ...any) {
	s.note(of.at, "%s: %s", quote(of.line()), fmt.Sprintf(format, args...))
}

// unknown lists a statement that nobody here knows.
func (s *source) unknown(of *statement) { s.leave(of, "not translated") }

// line is the statement without its block.
func (s *statement) line() string {
	texts := make([]string, 0, len(s.words))
	for _, w := range s.words {
		texts = append(texts, w.text)
	}
	return strings.Join(texts, " ")
}
