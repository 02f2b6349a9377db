package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// leaf is the shape of one scalar.
type leaf[T comparable] struct {
	kind    kind   // kindText, kindNumber or kindBool
	loose   bool   // a number or boolean is taken as the text it was written with
	example string // as the file would hold it
	// parse returns the value of a text, or what is wrong with it.
	parse  func(text string) (value T, problem, remedy string)
	format func(value T) string
	// limits describe the value to an editor.
	limits object
}

// read lets parse speak first where a number stands for text: "22 is not an
// address" helps more than "put 22 in quotes".
func (l leaf[T]) read(r *reader, n *node, p path, into *T) {
	var zero T
	*into = zero
	text, ok := r.scalar(n, p, l.kind, l.example)
	if !ok {
		return
	}
	value, problem, remedy := l.parse(text)
	switch {
	case problem != "":
		r.fault(n.at, p, remedy, "%s", problem)
	case l.kind == kindText && n.kind != kindText && !l.loose:
		// The JSON schema and other readers of YAML see a number here.
		r.fault(n.at, p, fmt.Sprintf("put it in quotes: %q", n.text), "is %s and must be text", n.kind)
	default:
		*into = value
	}
}

func (l leaf[T]) print(v T) *node {
	return &node{kind: l.kind, text: escapeVariables(l.format(v))}
}

func (l leaf[T]) diff(old, new T, p path, report func(Change)) {
	if old != new {
		report(Change{Path: string(p), Old: l.format(old), New: l.format(new)})
	}
}

// schema admits any text with a variable in place of a limited value: what it
// stands for on a node is for Parse to judge.
func (l leaf[T]) schema(variables bool) object {
	o := object{"type": "string"}
	switch {
	case l.loose:
		o["type"] = []string{"string", "number", "boolean"}
	case l.kind == kindNumber:
		o["type"] = "integer"
	case l.kind == kindBool:
		o["type"] = "boolean"
	}
	maps.Copy(o, l.limits)
	if variables && (len(l.limits) > 0 || l.kind != kindText) {
		return object{"anyOf": []any{o, object{"type": "string", "pattern": `\$\{`}}}
	}
	return o
}

// text is any text that matches the pattern; rule says so in words. The pattern
// goes into the JSON schema, so it must mean the same in JavaScript.
func text(pattern, rule, example string) leaf[string] {
	valid := regexp.MustCompile(pattern)
	return leaf[string]{
		kind:    kindText,
		example: example,
		parse: func(text string) (string, string, string) {
			if !valid.MatchString(text) {
				return "", quote(text) + " is not " + rule, "write one such as " + example
			}
			return text, "", ""
		},
		format: func(v string) string { return v },
		limits: object{"pattern": pattern},
	}
}

// integer is a whole number within limits, both included.
func integer(least, most int) leaf[int] {
	return leaf[int]{
		kind:    kindNumber,
		example: strconv.Itoa(least),
		parse: func(text string) (int, string, string) {
			// A leading zero means octal to some readers of YAML and nothing
			// to others, so what Itoa would not write is not taken.
			v, err := strconv.Atoi(text)
			if err != nil || strconv.Itoa(v) != text || v < least || v > most {
				return 0, quote(text) + " is not a whole number within limits", fmt.Sprintf("write one from %d to %d", least, most)
			}
			return v, "", ""
		},
		format: strconv.Itoa,
		limits: object{"minimum": least, "maximum": most},
	}
}

// duration is a time span within limits, both included, written with its unit:
// a bare number would be seconds to some and milliseconds to others.
func duration(least, most time.Duration) leaf[time.Duration] {
	span := fmt.Sprintf("write one from %s to %s, with its unit", formatDuration(least), formatDuration(most))
	return leaf[time.Duration]{
		kind:    kindText,
		example: formatDuration(least),
		parse: func(text string) (time.Duration, string, string) {
			v, err := time.ParseDuration(text)
			if err != nil {
				return 0, quote(text) + " is not a time span", span
			}
			if v < least || v > most {
				return 0, quote(text) + " is out of limits", span
			}
			return v, "", ""
		},
		format: formatDuration,
		limits: object{"pattern": `^([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$`},
	}
}

// formatDuration writes 2m where time.Duration would write 2m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// choice is one of a few words, in lower case as everywhere in the file.
func choice[T ~string](words ...T) leaf[T] {
	known := make([]string, len(words))
	for i, w := range words {
		known[i] = string(w)
	}
	return leaf[T]{
		kind:    kindText,
		example: known[0],
		parse: func(text string) (T, string, string) {
			if !slices.Contains(known, text) {
				return "", quote(text) + " is not known", suggest(text, known)
			}
			return T(text), "", ""
		},
		format: func(v T) string { return string(v) },
		limits: object{"enum": known},
	}
}
