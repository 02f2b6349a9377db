package keepalived

import (
	"fmt"
	"slices"
	"strings"
)

// define takes in a variable: the rest of its line, and those it goes on in,
// which stay lines of their own.
func (s *source) define(name, value string, words []word) {
	var all []word
	if value != "" {
		first := words[0]
		first.text = value
		all = append(all, first)
	}
	for _, w := range words[1:] {
		switch w.mark {
		case end:
			continue
		case fold:
			w.mark = end
		}
		all = append(all, w)
	}
	s.variables[name] = s.expand(all)
}

// expand replaces variables: by words where a word is one variable and nothing
// else, by text within a word. One that is not defined stays as it is.
func (s *source) expand(words []word) []word {
	if !slices.ContainsFunc(words, func(w word) bool { return strings.Contains(w.text, "$") }) {
		return words
	}
	var out []word
	for _, w := range words {
		name, rest := variable(w.text)
		value, defined := s.variables[name]
		if name != "" && rest == "" && defined && !w.quoted {
			for _, v := range value {
				v.at = w.at
				out = append(out, v)
				s.bytes += len(v.text) + 1
			}
		} else {
			w.text = s.within(w.text)
			out = append(out, w)
		}
		if s.bytes > maxBytes {
			s.fault(w.at, fmt.Sprintf("variables make more than %d bytes of the files", maxBytes), "look for one that holds itself")
			return nil
		}
	}
	return out
}

// within replaces the variables in a text.
func (s *source) within(t string) string {
	var b strings.Builder
	for t != "" && s.bytes <= maxBytes {
		name, rest := variable(t)
		value, defined := s.variables[name]
		if name == "" || !defined {
			b.WriteByte(t[0])
			t = t[1:]
			continue
		}
		for i, v := range value {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(v.text)
			s.bytes += len(v.text) + 1
		}
		t = rest
	}
	return b.String()
}

// variable is the name of the variable that a text begins with, empty for none,
// and what follows it.
func variable(t string) (name, rest string) {
	after, found := strings.CutPrefix(t, "$")
	if !found {
		return "", t
	}
	if inner, braces := strings.CutPrefix(after, "{"); braces {
		name, rest, closed := strings.Cut(inner, "}")
		if !closed {
			return "", t
		}
		return name, rest
	}
	n := strings.IndexFunc(after, func(c rune) bool {
		return c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	})
	if n < 0 {
		n = len(after)
	}
	return after[:n], after[n:]
}
