package main

import (
	"errors"
	"fmt"
	"io"

	"sluice/internal/config"
	"sluice/internal/control"
)

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// failure is an error as the operator shall read it: what failed, and what to
// do next.
type failure struct {
	text  string
	hints []string
	code  int
}

// Error implements error.
func (f *failure) Error() string { return f.text }

// fail returns a failure with one hint, or none where hint is empty.
func fail(hint, format string, args ...any) *failure {
	f := &failure{text: fmt.Sprintf(format, args...), code: exitFailed}
	if hint != "" {
		f.hints = []string{hint}
	}
	return f
}

// usage returns a failure about how the program was called.
func usage(hint, format string, args ...any) *failure {
	f := fail(hint, format, args...)
	f.code = exitUsage
	return f
}

// errSaid fails the program without a word: it was said where it is read.
var errSaid = errors.New("said elsewhere")

// report tells err to the operator and returns the exit code. Faults of
// settings come first and bare, one a line, so that editors can jump to them.
func report(w io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errSaid) {
		return exitFailed
	}
	f := asFailure(w, err)
	fmt.Fprintf(w, "sluice: %s\n", f.text)
	for _, hint := range f.hints {
		fmt.Fprintf(w, "hint: %s\n", hint)
	}
	return f.code
}

// asFailure turns whatever reached the top into what is said about it.
func asFailure(w io.Writer, err error) *failure {
	var f *failure
	var refused *control.Error
	var faults *config.Faults
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &refused):
		for _, line := range refused.Details {
			fmt.Fprintln(w, line)
		}
		return fail(refused.Hint, "%s", refused.Message)
	case errors.As(err, &faults):
		fmt.Fprintln(w, faults)
		return fail("correct the file", "settings have %s", plural(len(faults.List)+faults.Omitted, "fault"))
	}
	return fail("", "%v", err)
}
