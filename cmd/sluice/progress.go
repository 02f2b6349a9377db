package main

import (
	"fmt"
	"time"
)

// progress is one line on standard error that is rewritten on a terminal;
// elsewhere each new text is a line of its own.
type progress struct {
	env
	start time.Time
	last  string
}

// newProgress starts the clock that is shown.
func newProgress(e env) *progress { return &progress{env: e, start: e.now()} }

// show replaces the line.
func (p *progress) show(text string) {
	text = printable(text)
	width, _, terminal := p.terminal(p.stderr)
	switch {
	case terminal:
		line := fmt.Sprintf("%s (%s)", text, spanText(p.now().Sub(p.start)))
		fmt.Fprint(p.stderr, "\r\x1b[K"+clip(line, width-1)) // the last column would wrap
	case text != p.last:
		fmt.Fprintln(p.stderr, text)
	}
	p.last = text
}

// end leaves the terminal at the start of an empty line.
func (p *progress) end() {
	if _, _, terminal := p.terminal(p.stderr); terminal && p.last != "" {
		fmt.Fprint(p.stderr, "\r\x1b[K")
	}
}

// clip cuts text to a number of characters; where that is not positive the
// width is not known and text stays whole.
func clip(text string, width int) string {
	if runes := []rune(text); width > 0 && len(runes) > width {
		return string(runes[:width])
	}
	return text
}
