package keepalived

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sluice/internal/config"
)

// What the files of one node may be at most. A file that includes itself, or
// variables that hold each other, end there.
const (
	maxBytes    = 1 << 20 // of all files together, read or made by variables
	maxFiles    = 256
	maxIncludes = 8  // in each other
	maxBlocks   = 16 // in each other
	maxNotes    = 1000
)

// source reads the files of a node.
type source struct {
	node      Node
	variables map[string][]word
	files     int
	bytes     int
	left      []*config.Fault
	faults    []*config.Fault
	omitted   int
}

// read returns the statements of the node's file.
func (s *source) read() []*statement {
	var all []*statement
	at := position{file: s.node.File}
	s.include(at, s.node.File, 0, func(words []word) { all = s.parse(words) })
	return all
}

// include hands the words of a file and of all that it includes to do.
func (s *source) include(at position, name string, depth int, do func([]word)) {
	data, problem := s.load(name)
	if problem != "" {
		s.fault(at, problem, "check the path")
		return
	}
	var words []word
	for _, line := range s.lines(name, data) {
		if mine, kept := s.forNode(line); kept {
			words = append(words, s.line(mine, depth)...)
		}
	}
	do(words)
}

// load returns the text of a file that is one.
func (s *source) load(name string) (text, problem string) {
	if s.files++; s.files > maxFiles {
		return "", fmt.Sprintf("more than %d files are included", maxFiles)
	}
	// What is no file might never answer.
	info, err := fs.Stat(s.node.FS, name)
	if err == nil && !info.Mode().IsRegular() {
		return "", quote(name) + " is not a file"
	}
	f, err := s.node.FS.Open(name)
	if err != nil {
		return "", quote(name) + " cannot be read: " + reason(err)
	}
	defer func() { _ = f.Close() }() // read only
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return "", quote(name) + " cannot be read: " + reason(err)
	}
	if s.bytes += len(data); s.bytes > maxBytes {
		return "", fmt.Sprintf("the files have more than %d bytes together", maxBytes)
	}
	return string(data), ""
}

// reason is an error without the path that the message has already.
func reason(err error) string {
	if of := (*fs.PathError)(nil); errors.As(err, &of) {
		return of.Err.Error()
	}
	return err.Error()
}

// lines cuts a file into lines of words, each with its end.
func (s *source) lines(name, data string) (lines [][]word) {
	scan := scanner{rest: data, at: position{file: name, line: 1, column: 1}}
	var line []word
	for {
		w, more, problem := scan.next()
		switch {
		case problem != "":
			s.fault(w.at, problem, `close it with "`)
			return nil
		case !more:
			return append(lines, append(line, word{mark: end, at: scan.at}))
		}
		line = append(line, w)
		if w.mark == end {
			lines, line = append(lines, line), nil
		}
	}
}

// line carries out what a line is for itself: a variable, or an include. All
// else is returned, with variables replaced.
func (s *source) line(words []word, depth int) []word {
	if len(words) == 0 || words[0].mark != text {
		return s.expand(words)
	}
	first := words[0]
	if name, value, defines := strings.Cut(first.text, "="); defines && strings.HasPrefix(name, "$") && !first.quoted {
		s.define(strings.Trim(name, "${}"), value, words)
		return nil
	}
	words = s.expand(slices.DeleteFunc(words, func(w word) bool { return w.mark == fold }))
	if len(words) < 2 || !slices.Contains([]string{"include", "includer", "includem", "includew", "includeb", "includea"}, words[0].text) {
		return words
	}
	if words[1].mark != text {
		s.fault(first.at, "include names no file", "write the path behind it")
		return nil
	}
	var all []word
	for _, name := range s.matches(words[1]) {
		if depth == maxIncludes {
			s.fault(first.at, fmt.Sprintf("files include each other more than %d deep", maxIncludes), "look for one that includes itself")
			return nil
		}
		s.include(words[1].at, name, depth+1, func(more []word) { all = append(all, more...) })
	}
	return all
}

// matches are the files that a pattern names, all of them below the directory of
// the node's file.
func (s *source) matches(w word) []string {
	pattern := filepath.ToSlash(w.text)
	if path.IsAbs(pattern) {
		below, ok := strings.CutPrefix(pattern, strings.TrimSuffix(s.node.Dir, "/")+"/")
		if !ok || s.node.Dir == "" {
			s.fault(w.at, quote(w.text)+" is not below the directory of "+quote(s.node.File), "copy all files into one directory")
			return nil
		}
		pattern = below
	} else {
		pattern = path.Join(path.Dir(w.at.file), pattern)
	}
	names, err := fs.Glob(s.node.FS, path.Clean(pattern))
	if err != nil || strings.HasPrefix(path.Clean(pattern), "..") {
		s.fault(w.at, quote(w.text)+" is no path or pattern below the directory of "+quote(s.node.File), "write the path of a file there")
		return nil
	}
	if len(names) == 0 {
		s.note(w.at, "%s is included, but there is no such file", quote(w.text))
	}
	return names
}

// forNode takes the condition off a line; kept is false where it is not for
// this node. A condition is of its line alone, even where that begins a block:
// lines for other nodes may begin the same block in their ways.
func (s *source) forNode(words []word) (rest []word, kept bool) {
	for len(words) > 0 && words[0].mark == text && strings.HasPrefix(words[0].text, "@") && !words[0].quoted {
		id, not := strings.CutPrefix(words[0].text[1:], "^")
		if s.node.Name == "" {
			s.note(words[0].at, "a line for %s is left out, because this node has no name", quote(words[0].text))
			return nil, false
		}
		if (id == s.node.Name) == not {
			return nil, false
		}
		words = words[1:]
	}
	return words, true
}

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

// fault reports what keepalived would not understand either.
func (s *source) fault(at position, problem, remedy string) {
	if len(s.faults) < maxNotes {
		s.faults = append(s.faults, &config.Fault{File: shown(at.file), Line: at.line, Column: at.column, Problem: problem, Remedy: remedy})
	}
}

// note lists what has no counterpart.
func (s *source) note(at position, format string, args ...any) {
	if len(s.left) == maxNotes {
		s.omitted++
		return
	}
	s.left = append(s.left, &config.Fault{File: shown(at.file), Line: at.line, Column: at.column, Problem: fmt.Sprintf(format, args...)})
}

// quote returns foreign text as it may stand in a message or comment.
func quote(t string) string {
	const most = 60
	if runes := []rune(t); len(runes) > most {
		t = string(runes[:most]) + "…"
	}
	return strconv.Quote(t)
}

// shown is the name of a file as it may stand before a message.
func shown(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}
