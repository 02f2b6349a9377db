package keepalived

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// position is a place in a file, line and column from 1.
type position struct {
	file         string
	line, column int
}

// word is a piece of a statement, or one of its marks.
type word struct {
	text   string
	mark   mark
	quoted bool // in whole or in part: its variables stay one word
	at     position
}

// mark is what a word is if not text.
type mark byte

const (
	text   mark = iota
	end         // of a line
	fold        // end of a line that goes on in the next one
	open        // {
	close_      // }
)

// scanner cuts a text into words. Comments begin with ! or # and end with the
// line; a line that ends in \ goes on in the next one.
type scanner struct {
	rest string
	at   position
}

// peek is the next character, 0 at the end.
func (s *scanner) peek() rune {
	c, size := utf8.DecodeRuneInString(s.rest)
	if size == 0 {
		return 0
	}
	return c
}

// step takes one character, whatever its bytes are.
func (s *scanner) step() string {
	c, size := utf8.DecodeRuneInString(s.rest)
	taken := s.rest[:size]
	s.rest = s.rest[size:]
	s.at.column++
	if c == '\n' {
		s.at.line, s.at.column = s.at.line+1, 1
	}
	return taken
}

// next returns the next word; more is false at the end of the text. A problem
// ends the reading.
func (s *scanner) next() (w word, more bool, problem string) {
	for s.rest != "" {
		w = word{at: s.at}
		switch c := s.peek(); {
		case c == '\n':
			s.step()
			w.mark = end
			return w, true, ""
		case c == '!' || c == '#':
			for s.rest != "" && s.peek() != '\n' {
				s.step()
			}
		case c == '\\' && (strings.HasPrefix(s.rest, "\\\n") || strings.HasPrefix(s.rest, "\\\r\n")):
			for s.peek() != '\n' {
				s.step()
			}
			s.step()
			w.mark = fold
			return w, true, ""
		case unicode.IsSpace(c):
			s.step()
		case c == '{' || c == '}':
			s.step()
			w.mark = open
			if c == '}' {
				w.mark = close_
			}
			return w, true, ""
		default:
			problem = s.word(&w)
			return w, true, problem
		}
	}
	return w, false, ""
}

// word takes a word up to what ends it.
func (s *scanner) word(w *word) (problem string) {
	var b strings.Builder
	for s.rest != "" {
		c := s.peek()
		switch {
		case unicode.IsSpace(c) || c == '!' || c == '#' || c == '{' || c == '}':
			w.text = b.String()
			return ""
		case strings.HasPrefix(s.rest, "${"):
			b.WriteString(s.step())
			for s.rest != "" && s.peek() != '}' && s.peek() != '\n' {
				b.WriteString(s.step())
			}
			if s.peek() == '}' {
				b.WriteString(s.step())
			}
		case c == '"':
			w.quoted = true
			if problem = s.quoted(&b); problem != "" {
				return problem
			}
		default:
			b.WriteString(s.step())
		}
	}
	w.text = b.String()
	return ""
}

// escapes are what a backslash in quotes makes of a letter; of all else it makes
// the character itself.
var escapes = map[rune]string{'n': "\n", 't': "\t", 'r': "\r", 's': " "}

// quoted takes what stands in quotes.
func (s *scanner) quoted(b *strings.Builder) (problem string) {
	s.step()
	for s.rest != "" {
		switch c := s.peek(); c {
		case '"':
			s.step()
			return ""
		case '\n':
			return "has a quote that is not closed on its line"
		case '\\':
			s.step()
			if plain, known := escapes[s.peek()]; known {
				s.step()
				b.WriteString(plain)
			} else if s.peek() != '\n' {
				b.WriteString(s.step())
			}
		default:
			b.WriteString(s.step())
		}
	}
	return "has a quote that is not closed"
}
