package config

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decode returns the library's tree of a text that passed checkText, nil where
// the text holds no value. Its time and depth need no watch of ours: the
// library reads in proportion to the text and refuses what nests 10 000 deep.
// TestHostileText holds it to that.
func decode(text string) (root *yaml.Node, fault *Fault) {
	// The same text reaches every gateway. A fault of the library may cost that
	// text, but not the gateways.
	defer func() {
		if recover() != nil {
			root, fault = nil, &Fault{Problem: readerFailed, Remedy: "take back the last edit, and report this with the file"}
		}
	}()
	// Of what begins on the first line, the library's errors do not tell the
	// line. With an empty one before the text, nothing does.
	lines := &lineReader{rest: "\n" + text}
	decoder := yaml.NewDecoder(lines)
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, syntaxFault(err, lines.taken-1)
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, faultAt(place(&second), "a second document begins", "keep all settings in one document")
	case !errors.Is(err, io.EOF):
		return nil, syntaxFault(err, lines.taken-1)
	}
	root = first.Content[0]
	if root.Kind == yaml.ScalarNode && root.Value == "" && root.Style == 0 {
		return nil, nil // nothing between --- and the end
	}
	return root, nil
}

// place is where a value of the library's tree stands in the text, behind the
// empty line that decode put before it.
func place(y *yaml.Node) position { return position{y.Line - 1, y.Column} }

// readerFailed is the problem where the library gave up in a way of its own.
const readerFailed = "makes the reader of YAML fail"

// lineReader hands a text out line by line and counts them, so that after an
// error it is known how far the library has come.
type lineReader struct {
	line, rest string
	taken      int
}

func (l *lineReader) Read(into []byte) (int, error) {
	if l.line == "" {
		if l.rest == "" {
			return 0, io.EOF
		}
		end := strings.IndexByte(l.rest, '\n') + 1
		if end == 0 {
			end = len(l.rest)
		}
		l.line, l.rest = l.rest[:end], l.rest[end:]
		l.taken++
	}
	n := copy(into, l.line)
	l.line = l.line[n:]
	return n, nil
}

// librarySays takes the library's errors apart.
var librarySays = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntaxFault tells an error of the library in our form; last is the line up to
// which it has read. The library knows the line alone.
func syntaxFault(err error, last int) *Fault {
	parts := librarySays.FindStringSubmatch(err.Error())
	if parts == nil {
		return &Fault{Problem: readerFailed, Remedy: "check that it is YAML"}
	}
	line, problem := last, parts[2]
	if strings.HasPrefix(problem, "unknown anchor") {
		// The only error that quotes the file, and the one without a line.
		return faultAt(position{line, 1}, "aliases are not known here", "put quotes around text that begins with *")
	}
	remedy, parsed := parserRemedies[problem]
	if !parsed {
		remedy = scannerRemedies[problem]
	}
	if remedy == "" {
		remedy = "look around this line for a slip in indentation, quotes or brackets"
	}
	first, err := strconv.Atoi(parts[1])
	switch {
	case err != nil:
	case !parsed:
		line = min(first-1, last) // what is missing may be so below the text
	case first < last:
		// The library's parser counts lines from 0, unlike its scanner, and
		// names the one that a list or mapping begins on. The slip is mostly
		// where reading ended.
		problem += fmt.Sprintf(" between line %d and here", first)
	}
	return faultAt(position{line, 1}, problem, remedy)
}

// What to do in more than one case.
const (
	useSpaces   = "indent with spaces"
	fixEscape   = `write a backslash as \\, or use single quotes`
	closeQuotes = "look from this line on for a quote that is not closed"
	noDirective = "remove the line that begins with %"
	quoteBraces = `and put quotes around values with a colon or braces, such as "${name}"`
)

// parserRemedies are what to do about the errors of the library's parser, by
// its words.
var parserRemedies = map[string]string{
	"did not find expected ',' or ']'":       "close the list with ], " + quoteBraces,
	"did not find expected ',' or '}'":       "close the mapping with }, " + quoteBraces,
	"did not find expected '-' indicator":    "align the items of the list",
	"did not find expected key":              "align the keys of the mapping, and put quotes around all of a value that begins with a quote or bracket",
	"did not find expected <document start>": "keep all settings in one mapping, with a space behind the colon of each key",
	"did not find expected node content":     "give the value, or put quotes around text that begins with a mark such as , or ]",
	"found duplicate %YAML directive":        noDirective,
	"found duplicate %TAG directive":         noDirective,
	"found incompatible YAML document":       noDirective,
	"found undefined tag handle":             "put quotes around text that begins with !",
}

// scannerRemedies are the same for the library's scanner.
var scannerRemedies = map[string]string{
	"mapping values are not allowed in this context":               "begin each key on a line of its own, or put quotes around text with a colon",
	"mapping keys are not allowed in this context":                 "put quotes around text that begins with ?",
	"block sequence entries are not allowed in this context":       "begin the list on a line of its own, or put quotes around text that begins with a dash",
	"could not find expected ':'":                                  "put a colon and a space behind the key, and align it with the others",
	"found character that cannot start any token":                  "indent with spaces instead of tabs, and put quotes around text that begins with @, % or `",
	"did not find expected alphabetic or numeric character":        "put quotes around text that begins with & or *",
	"did not find expected whitespace or line break":               "put quotes around text that begins with !, & or *",
	"did not find expected comment or line break":                  "put nothing but a comment behind | or >",
	"found a tab character that violates indentation":              useSpaces,
	"found a tab character where an indentation space is expected": useSpaces,
	"found unexpected end of stream":                               closeQuotes,
	"found unexpected document indicator":                          closeQuotes,
	"found unknown escape character":                               fixEscape,
	"did not find expected hexdecimal number":                      fixEscape,
	"found invalid Unicode character escape code":                  fixEscape,
	"found unknown directive name":                                 noDirective,
}
