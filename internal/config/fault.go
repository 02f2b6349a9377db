package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxFaults bounds what one broken file can make us remember and print. Nobody
// mends more in one go, and the rest shows up on the next try.
const maxFaults = 200

// A Fault is one thing wrong with a settings file. Its message is one line:
//
//	sluice.yaml:14:11: services[1].listen: what is wrong; what to do
type Fault struct {
	// File is the name that was given to Load or Parse.
	File string
	// Line and Column count from 1, Column in characters. Both are 0 where the
	// fault is about the file as a whole.
	Line, Column int
	// Path names the setting, with the index in the file for list items;
	// empty where the text is not even YAML.
	Path string
	// Problem says what is wrong, Remedy what to do about it.
	Problem, Remedy string
}

// Error returns the fault as one line.
func (f *Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Column)
	}
	b.WriteString(": ")
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.Problem)
	if f.Remedy != "" {
		b.WriteString("; " + f.Remedy)
	}
	return b.String()
}

// Faults is everything that is wrong with a settings file: the error that Load
// and Parse return for one that cannot be used. errors.As finds it, and each
// Fault in it.
type Faults struct {
	// List is in the order of the file, at most 200 long.
	List []*Fault
	// Omitted counts the faults beyond List.
	Omitted int
}

// Error returns one line per fault.
func (f *Faults) Error() string {
	lines := make([]string, 0, len(f.List)+1)
	for _, fault := range f.List {
		lines = append(lines, fault.Error())
	}
	if f.Omitted > 0 {
		lines = append(lines, fmt.Sprintf("%s: and %d more; mend these first", f.List[0].File, f.Omitted))
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the faults one by one.
func (f *Faults) Unwrap() []error {
	errs := make([]error, len(f.List))
	for i, fault := range f.List {
		errs[i] = fault
	}
	return errs
}

// faultAt is a fault at a place, for which file and path are not known yet.
func faultAt(at position, problem, remedy string) *Fault {
	return &Fault{Line: at.line, Column: at.column, Problem: problem, Remedy: remedy}
}

// full tells whether there are too many faults to remember another.
func (f *Faults) full() bool { return len(f.List) == maxFaults }

// add takes a fault in, or only counts it.
func (f *Faults) add(fault *Fault) {
	if f.full() {
		f.Omitted++
		return
	}
	f.List = append(f.List, fault)
}

// addf is add for the value at p, and spares the work where it only counts.
func (f *Faults) addf(at position, p path, remedy, format string, args ...any) {
	if f.full() {
		f.Omitted++
		return
	}
	fault := faultAt(at, fmt.Sprintf(format, args...), remedy)
	fault.Path = string(p)
	f.List = append(f.List, fault)
}

// sort brings the faults into the order of the file. Reading finds them nearly
// so, but rules between values speak only when everything is read.
func (f *Faults) sort() {
	slices.SortStableFunc(f.List, func(a, b *Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// quote returns text from the file as it may stand in a message: on one line,
// not endless, and without anything a terminal would obey.
func quote(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return strconv.Quote(text)
}
