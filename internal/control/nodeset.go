package control

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"

	"sluice/internal/config"
)

// MaxNodeSet bounds how many names a node set may stand for, repetitions
// included, so that a slip of the finger costs the node neither memory nor time.
const MaxNodeSet = config.MaxMembers

// ExpandNodeSet returns the names a node set stands for, in the order written,
// without duplicates.
//
// The notation is the one of ClusterShell: comma-separated names in which
// brackets hold numbers and ranges, as in "blue[1-4,7],red[01-10/3]". Leading
// zeros of a range's first number set the width of all. Several brackets in a
// name give every combination. An address such as "[fd00::1]:22" stands for
// itself.
//
// Errors say what is wrong with which part.
func ExpandNodeSet(set string) ([]string, error) {
	var e expansion
	if err := e.add(set); err != nil {
		return nil, err
	}
	return e.names, nil
}

// expansion collects what one or more node sets stand for, under one limit.
type expansion struct {
	names []string
	seen  map[string]bool
	total int // with repetitions
}

func (e *expansion) add(set string) error {
	if e.seen == nil {
		e.seen = make(map[string]bool)
	}
	for _, part := range splitOutside(set) {
		expanded, err := expandName(part)
		if err != nil {
			return fmt.Errorf("expand node set %q: %v", set, err)
		}
		if e.total += len(expanded); e.total > MaxNodeSet {
			return fmt.Errorf("expand node set %q: more than %d names", set, MaxNodeSet)
		}
		for _, name := range expanded {
			if !e.seen[name] {
				e.seen[name] = true
				e.names = append(e.names, name)
			}
		}
	}
	return nil
}

// splitOutside cuts at the commas that stand outside of brackets.
func splitOutside(set string) []string {
	var parts []string
	depth, start := 0, 0
	for i := 0; i < len(set); i++ {
		switch set[i] {
		case '[':
			depth++
		case ']':
			depth--
		case ',':
			if depth == 0 {
				parts = append(parts, set[start:i])
				start = i + 1
			}
		}
	}
	return append(parts, set[start:])
}

// expandName expands the brackets of one name from left to right.
func expandName(name string) ([]string, error) {
	if name == "" {
		return nil, fmt.Errorf("empty name")
	}
	if i := strings.IndexFunc(name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }); i >= 0 {
		return nil, fmt.Errorf("name %q: character %d is not allowed", name, i+1)
	}
	if _, err := netip.ParseAddrPort(name); err == nil {
		return []string{name}, nil
	}
	names := []string{""}
	for rest := name; rest != ""; {
		before, inside, after, err := cutBrackets(rest)
		if err != nil {
			return nil, fmt.Errorf("name %q: %v", name, err)
		}
		numbers := []string{""}
		if inside != "" {
			if numbers, err = expandNumbers(inside); err != nil {
				return nil, fmt.Errorf("name %q: %v", name, err)
			}
		}
		if len(names)*len(numbers) > MaxNodeSet {
			return nil, fmt.Errorf("name %q: more than %d names", name, MaxNodeSet)
		}
		names = combine(names, before, numbers)
		rest = after
	}
	return names, nil
}

// cutBrackets splits s around its first pair of brackets; inside is empty
// where s has none.
func cutBrackets(s string) (before, inside, after string, err error) {
	open := strings.IndexAny(s, "[]")
	if open < 0 {
		return s, "", "", nil
	}
	if s[open] == ']' {
		return "", "", "", fmt.Errorf("\"]\" without \"[\"")
	}
	length := strings.IndexAny(s[open+1:], "[]")
	if length < 0 || s[open+1+length] == '[' {
		return "", "", "", fmt.Errorf("\"[\" without \"]\"")
	}
	if length == 0 {
		return "", "", "", fmt.Errorf("empty brackets")
	}
	end := open + 1 + length
	return s[:open], s[open+1 : end], s[end+1:], nil
}

// combine appends literal and each of the numbers to each of the names.
func combine(names []string, literal string, numbers []string) []string {
	out := make([]string, 0, len(names)*len(numbers))
	for _, name := range names {
		for _, number := range numbers {
			out = append(out, name+literal+number)
		}
	}
	return out
}

// expandNumbers expands the inside of brackets: "1-4,7,010-20/5".
func expandNumbers(list string) ([]string, error) {
	var out []string
	for item := range strings.SplitSeq(list, ",") {
		r, err := parseRange(item)
		if err != nil {
			return nil, err
		}
		if (r.last-r.first)/r.step >= MaxNodeSet-len(out) {
			return nil, fmt.Errorf("range %q: more than %d names", item, MaxNodeSet)
		}
		for n := r.first; n <= r.last; n += r.step {
			out = append(out, fmt.Sprintf("%0*d", r.width, n))
		}
	}
	return out, nil
}

// numberRange is "N", "N-M" or "N-M/STEP". width is the least number of
// digits, 1 where N is written without leading zeros.
type numberRange struct {
	first, last, step, width int
}

func parseRange(item string) (numberRange, error) {
	span, stepText, stepped := strings.Cut(item, "/")
	low, high, isRange := strings.Cut(span, "-")
	if !isRange {
		high = low
	}
	r := numberRange{step: 1, width: 1}
	var err error
	if stepped {
		if r.step, err = parseNumber(stepText); err != nil || r.step == 0 || !isRange {
			return r, fmt.Errorf("range %q: want a step as in 1-10/2", item)
		}
	}
	if r.first, err = parseNumber(low); err != nil {
		return r, fmt.Errorf("range %q: want numbers as in 1-4 or 7", item)
	}
	if r.last, err = parseNumber(high); err != nil {
		return r, fmt.Errorf("range %q: want numbers as in 1-4 or 7", item)
	}
	if r.last < r.first {
		return r, fmt.Errorf("range %q: ends before it begins", item)
	}
	if len(low) > 1 && low[0] == '0' {
		r.width = len(low)
	}
	if len(high) > 1 && high[0] == '0' && len(high) != r.width {
		return r, fmt.Errorf("range %q: leading zeros of unequal width", item)
	}
	return r, nil
}

// parseNumber accepts decimal digits alone, at most nine of them, so that no
// sum of two overflows.
func parseNumber(s string) (int, error) {
	if s == "" || len(s) > 9 || strings.Trim(s, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.Atoi(s)
}
