package keepalived

import (
	"fmt"
	"strconv"

	"sluice/internal/config"
)

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
