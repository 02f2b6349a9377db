package main

import (
	"fmt"
	"io"
)

// report is what the lab tells people: a subject and one line about it, the
// first word of which is "ok" where something was proven.
type report struct{ w io.Writer }

// line writes one line. That nobody reads it is no reason to stop; whoever
// closed the terminal has sent a signal too.
func (r report) line(subject, format string, args ...any) {
	_, _ = fmt.Fprintf(r.w, "%-9s %s\n", subject, fmt.Sprintf(format, args...))
}
