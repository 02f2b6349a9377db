package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"sluice/internal/nettest"
)

// Sequences of ANSI terminals. The alternate screen gives back what was there
// before.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[J"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// frameLimit is more than any picture of the live view, and less than a pipe
// holds, so that the view writes one whole and we read one whole.
const frameLimit = 48 << 10

// watch shows "sluice status --watch" below the line to log in with, until
// Ctrl-C, which is its normal end.
//
// On a terminal the view would take the whole screen and cover that line, so it
// writes to a pipe and is drawn here. The line is not drawn again: a terminal
// drops a selection when what it covers is rewritten.
func (l *lab) watch(ctx context.Context, stdout io.Writer) error {
	head := l.invitation()
	view := l.sluice.command(ctx, "status", "--watch")
	var err error
	if file, ok := stdout.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		err = drawn(view, file, head)
	} else {
		fmt.Fprint(stdout, strings.Join(head, "\n"), "\n")
		view.Stdout, view.Stderr = stdout, stdout
		err = view.Run()
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("sluice status --watch ended: %w", errors.Join(err, errors.New("see "+l.sluice.log)))
}

// invitation is what to do with the lab.
func (l *lab) invitation() []string {
	lines := []string{"Log in through the VIP from a second terminal; Ctrl-C here ends the lab.", ""}
	for _, vip := range l.vips() {
		lines = append(lines, "  "+l.client.CommandLine(vip))
	}
	return append(lines, "",
		"Settings: "+l.site.file("sluice.yaml"),
		"Commands: "+l.options.sluice+" --socket "+l.sluice.socket,
		"")
}

// drawn runs the view and draws each of its pictures below head. One read is one
// picture: the view writes each at once and then rests, and should one ever come
// in two parts, the next is whole again.
func drawn(view *nettest.Cmd, screen *os.File, head []string) error {
	pictures, err := view.StdoutPipe()
	if err != nil {
		return err
	}
	var complaint strings.Builder
	view.Stderr = &complaint
	if err := view.Start(); err != nil {
		return err
	}
	fmt.Fprint(screen, enterScreen, strings.Join(head, "\r\n"), "\r\n")
	defer fmt.Fprint(screen, leaveScreen)
	width, _ := size(screen)
	below := rows(head, width)
	buffer := make([]byte, frameLimit)
	for {
		n, err := pictures.Read(buffer)
		if n > 0 {
			width, height := size(screen)
			fmt.Fprint(screen, picture(string(buffer[:n]), below, width, height))
		}
		if err != nil {
			break
		}
	}
	if err := view.Wait(); err != nil {
		return fmt.Errorf("%v: %s", err, oneLine(complaint.String()))
	}
	return nil
}

// size asks each time: windows change theirs.
func size(screen *os.File) (width, height int) {
	width, height, err := term.GetSize(int(screen.Fd()))
	if err != nil || width <= 0 {
		return 80, 24
	}
	return width, height
}

// rows is how many rows of a terminal the lines take, long ones several.
func rows(lines []string, width int) int {
	n := 0
	for _, line := range lines {
		n += max(1, (len(line)+width-1)/width)
	}
	return n
}

// picture is a frame fitted to the screen below its first rows, written over the
// one before.
func picture(frame string, below, width, height int) string {
	lines := strings.Split(strings.TrimRight(frame, "\n"), "\n")
	lines = lines[:min(len(lines), max(height-below, 0))]
	if len(lines) == 0 {
		return ""
	}
	for i, line := range lines {
		if runes := []rune(line); len(runes) > width {
			line = string(runes[:width])
		}
		lines[i] = line + clearLine
	}
	return fmt.Sprintf("\x1b[%d;1H", below+1) + strings.Join(lines, "\r\n") + clearBelow
}
