package config

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The reader of YAML is our own, in scan.go and compose.go, for what libraries
// do with hostile or broken text: goccy/go-yaml 1.19 needs time quadratic in
// the number of keys, brackets and blank lines (37 s for 80 kB of "[", half an
// hour for 1 MB of line ends after a "|"), recurses without bound, and splits
// an unquoted 10.0.0.1:22 inside brackets. What is read here is a subset that
// settings need: mappings, lists, plain and quoted text, comments. The rest of
// YAML (anchors, tags, text blocks, several documents) is refused by name. A
// test holds it against goccy's reading, so that every file means the same to
// both.

// tokenKind is what a token is.
type tokenKind uint8

const (
	tokenScalar tokenKind = iota
	tokenDash
	tokenColon
	tokenComma
	tokenOpenList
	tokenCloseList
	tokenOpenMapping
	tokenCloseMapping
	tokenDocument    // ---
	tokenDocumentEnd // ...
)

// token is one lexical element of a settings file.
type token struct {
	kind   tokenKind
	at     position
	text   string // of a scalar, with quotes and escapes resolved; else as written
	quoted bool
	broken bool // its fault is reported
	leads  bool // first on its line
}

// flowMarks are the tokens that mean something only inside [ ] and { }, but for
// the two that open them.
var flowMarks = map[byte]tokenKind{
	',': tokenComma, '[': tokenOpenList, ']': tokenCloseList, '{': tokenOpenMapping, '}': tokenCloseMapping,
}

// reserved are the characters that no plain text may begin with, and why ours
// does not take what YAML means by them.
var reserved = map[byte]string{
	'&': "anchors are not known here",
	'*': "aliases are not known here",
	'!': "tags are not known here",
	'|': "text blocks are not known here",
	'>': "text blocks are not known here",
	'%': "directives are not known here",
	'?': "keys with a question mark are not known here",
	'@': "text cannot begin with it",
	'`': "text cannot begin with it",
	',': "text cannot begin with it",
	']': "it closes nothing",
	'}': "it closes nothing",
	'#': "a comment needs a space before it",
	'-': "list items with a dash cannot stand inside brackets",
}

// scanner turns text into tokens.
type scanner struct {
	text   string
	next   int // offset of the first byte not looked at
	line   int
	start  int // offset of the line
	column int // of next
	leads  bool
	depth  int // of open brackets
	tokens []token
	faults []*Fault
	fatal  bool // nothing behind this place can be understood
}

// scan returns the tokens of a text that passed checkText. Faults that leave
// the structure intact mark their token broken; ok is false where the rest of
// the text could not be understood.
func scan(text string) (tokens []token, faults []*Fault, ok bool) {
	s := scanner{text: text, line: 1, column: 1, leads: true}
	for !s.fatal && s.skip() {
		s.token()
	}
	return s.tokens, s.faults, !s.fatal
}

// skip passes over blanks, line ends and comments and tells whether anything
// is left behind them.
func (s *scanner) skip() bool {
	for s.next < len(s.text) {
		switch c := s.text[s.next]; {
		case c == '\n':
			s.next++
			s.line, s.start, s.column, s.leads = s.line+1, s.next, 1, true
		case blank(c):
			s.advance(1)
		case c == '#' && (s.next == s.start || blank(s.text[s.next-1])):
			s.advance(s.lineEnd() - s.next)
		default:
			return true
		}
	}
	return false
}

// token takes the token that begins here.
func (s *scanner) token() {
	if s.leads {
		if tab := strings.IndexByte(s.text[s.start:s.next], '\t'); tab >= 0 {
			s.column = tab + 1
			s.stop("a tab cannot indent", "use spaces")
			return
		}
	}
	c := s.text[s.next]
	mark, flow := flowMarks[c]
	switch {
	case s.column == 1 && s.marker("---"):
		s.emit(tokenDocument, 3)
	case s.column == 1 && s.marker("..."):
		s.emit(tokenDocumentEnd, 3)
	case mark == tokenOpenList || mark == tokenOpenMapping:
		s.depth++
		s.emit(mark, 1)
	case flow && s.depth > 0:
		if mark != tokenComma {
			s.depth--
		}
		s.emit(mark, 1)
	case c == '-' && s.depth == 0 && s.gap(s.next+1):
		s.emit(tokenDash, 1)
	case c == ':' && (s.afterQuoted() || s.endsKey(s.next)):
		s.emit(tokenColon, 1)
	case c == '"' || c == '\'':
		s.quoted(c)
	default:
		s.plain()
	}
}

// emit takes length bytes as a token.
func (s *scanner) emit(kind tokenKind, length int) {
	s.tokens = append(s.tokens, token{
		kind: kind, at: s.here(), text: s.text[s.next : s.next+length], leads: s.leads,
	})
	s.advance(length)
	s.leads = false
}

// plain takes text without quotes: to the end of the line, a comment, a colon
// that ends a key or, inside brackets, to the next bracket or comma.
func (s *scanner) plain() {
	c, end := s.text[s.next], s.next+1
	broken := s.refuse(c)
	for ; end < len(s.text) && s.text[end] != '\n'; end++ {
		c := s.text[end]
		if s.depth > 0 && flowMarks[c] != 0 || s.endsKey(end) || c == '#' && blank(s.text[end-1]) {
			break
		}
	}
	s.emit(tokenScalar, len(strings.TrimRight(s.text[s.next:end], " \t\r")))
	s.tokens[len(s.tokens)-1].broken = broken
}

// refuse reports a character that plain text cannot begin with.
func (s *scanner) refuse(c byte) bool {
	why, bad := reserved[c]
	switch {
	case !bad, c == '-' && !s.gap(s.next+1), c == '?' && !s.gap(s.next+1):
		return false
	case c == '|' || c == '>':
		// The lines that follow are text and would be taken for settings.
		s.stop(fmt.Sprintf("%q: %s", c, why), `write the text on one line in double quotes, with \n for line ends`)
	default:
		s.fault(fmt.Sprintf("%q: %s", c, why), "put quotes around text that begins like this")
	}
	return true
}

// here is the place of the next character.
func (s *scanner) here() position { return position{s.line, s.column} }

// advance moves on by that many bytes of the same line.
func (s *scanner) advance(bytes int) {
	s.column += utf8.RuneCountInString(s.text[s.next : s.next+bytes])
	s.next += bytes
}

// lineEnd is the offset of the end of the line.
func (s *scanner) lineEnd() int {
	if n := strings.IndexByte(s.text[s.next:], '\n'); n >= 0 {
		return s.next + n
	}
	return len(s.text)
}

// gap tells whether the text has a blank, a line end or its end there.
func (s *scanner) gap(offset int) bool {
	return offset >= len(s.text) || blank(s.text[offset]) || s.text[offset] == '\n'
}

// endsKey tells whether a colon stands there that separates a key from its
// value: only one with a gap behind it does, so that 10.0.0.1:22 is text.
func (s *scanner) endsKey(offset int) bool {
	if s.text[offset] != ':' {
		return false
	}
	return s.gap(offset+1) || s.depth > 0 && flowMarks[s.text[offset+1]] != 0
}

// afterQuoted tells whether the next character follows a quoted text at once,
// where JSON writes its colon.
func (s *scanner) afterQuoted() bool {
	if s.next == 0 || len(s.tokens) == 0 || !s.tokens[len(s.tokens)-1].quoted {
		return false
	}
	c := s.text[s.next-1]
	return s.depth > 0 && (c == '"' || c == '\'')
}

// marker tells whether the line begins with that document marker.
func (s *scanner) marker(text string) bool {
	return strings.HasPrefix(s.text[s.next:], text) && s.gap(s.next+len(text))
}

// fault reports a fault at the next character.
func (s *scanner) fault(problem, remedy string) {
	s.faults = append(s.faults, faultAt(s.here(), problem, remedy))
}

// stop reports a fault behind which nothing can be understood.
func (s *scanner) stop(problem, remedy string) {
	s.fault(problem, remedy)
	s.fatal = true
}

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }
