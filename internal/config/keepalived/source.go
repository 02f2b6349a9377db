package keepalived

import (
	"fmt"
	"slices"
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
