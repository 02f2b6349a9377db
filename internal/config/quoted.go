package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// escapes are the characters that double-quoted text writes as a backslash and
// one more. JSON's are among them.
var escapes = map[byte]rune{
	'"': '"', '\\': '\\', '/': '/', ' ': ' ',
	'0': 0, 'a': '\a', 'b': '\b', 't': '\t', 'n': '\n', 'v': '\v', 'f': '\f', 'r': '\r', 'e': 0x1b,
	'N': 0x85, '_': 0xa0, 'L': 0x2028, 'P': 0x2029,
}

// escapeDigits is how many hexadecimal digits follow the letter of an escape.
var escapeDigits = map[byte]int{'x': 2, 'u': 4, 'U': 8}

// quoted takes text in quotes. It ends on its line: YAML would go on and fold
// the line ends, which hides a forgotten quote until the end of the file.
func (s *scanner) quoted(quote byte) {
	end := s.quotedEnd(quote)
	if end < 0 {
		s.stop("the quote is not closed on its line", "add the closing "+string(quote))
		return
	}
	inner := s.text[s.next+1 : end]
	text, problem := strings.ReplaceAll(inner, "''", "'"), ""
	if quote == '"' {
		text, problem = unescape(inner)
	}
	if problem != "" {
		s.fault(problem, `write a backslash as \\, or use single quotes`)
	} else if after := end + 1; !s.gap(after) && s.text[after] != ':' && flowMarks[s.text[after]] == 0 {
		problem = "text goes on behind the closing quote"
		s.fault(problem, "quote all of it")
	}
	s.emit(tokenScalar, end+1-s.next)
	last := &s.tokens[len(s.tokens)-1]
	last.text, last.quoted, last.broken = text, true, problem != ""
}

// quotedEnd finds the closing quote on the line, or -1.
func (s *scanner) quotedEnd(quote byte) int {
	for i := s.next + 1; i < len(s.text) && s.text[i] != '\n'; i++ {
		rest := s.text[i+1:]
		switch {
		case quote == '"' && s.text[i] == '\\' && !strings.HasPrefix(rest, "\n"):
			i++
		case s.text[i] != quote:
		case quote == '\'' && strings.HasPrefix(rest, "'"):
			i++
		default:
			return i
		}
	}
	return -1
}

// unescape resolves the escapes of double-quoted text. The problem is empty
// where it could.
func unescape(text string) (plain, problem string) {
	var b strings.Builder
	for text != "" {
		if text[0] != '\\' {
			n := strings.IndexByte(text+`\`, '\\')
			b.WriteString(text[:n])
			text = text[n:]
			continue
		}
		r, length := escape(text)
		if length == 0 {
			first, _ := utf8.DecodeRuneInString(text[1:])
			return "", fmt.Sprintf("%q is not an escape", `\`+string(first))
		}
		b.WriteRune(r)
		text = text[length:]
	}
	return b.String(), ""
}

// escape reads the escape that text begins with. Length 0 means that it is none.
func escape(text string) (r rune, length int) {
	if r, ok := escapes[text[1]]; ok {
		return r, 2
	}
	r, length = hexEscape(text)
	if !utf16.IsSurrogate(r) {
		return r, length
	}
	// JSON writes characters beyond 16 bits as two.
	low, more := hexEscape(text[length:])
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, 0
	}
	return r, length + more
}

// hexEscape reads \x, \u or \U with its digits.
func hexEscape(text string) (r rune, length int) {
	if len(text) < 2 || text[0] != '\\' {
		return 0, 0
	}
	digits := escapeDigits[text[1]]
	if digits == 0 || len(text) < 2+digits {
		return 0, 0
	}
	n, err := strconv.ParseUint(text[2:2+digits], 16, 32)
	if err != nil || n > utf8.MaxRune {
		return 0, 0
	}
	return rune(n), 2 + digits
}
