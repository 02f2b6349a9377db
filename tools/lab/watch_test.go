package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPicture(t *testing.T) {
	tests := map[string]struct {
		frame                string
		below, width, height int
		want                 string
	}{
		"fits":     {"ab\n\ncd\n", 3, 80, 24, "\x1b[4;1Hab\x1b[K\r\n\x1b[K\r\ncd\x1b[K\x1b[J"},
		"too wide": {"äbcdef", 0, 3, 24, "\x1b[1;1Häbc\x1b[K\x1b[J"},
		"too high": {"a\nb\nc\n", 3, 80, 5, "\x1b[4;1Ha\x1b[K\r\nb\x1b[K\x1b[J"},
		// Nothing may be drawn over the line to log in with.
		"no room": {"a\n", 5, 80, 5, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := picture(tt.frame, tt.below, tt.width, tt.height); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRows(t *testing.T) {
	head := []string{"", strings.Repeat("x", 80), strings.Repeat("x", 81)}
	for width, want := range map[int]int{80: 4, 81: 3, 40: 6} {
		if got := rows(head, width); got != want {
			t.Errorf("%d rows at width %d, want %d", got, width, want)
		}
	}
}

func TestDrawn(t *testing.T) {
	s := program(t, `[ "$*" = "status --watch" ] || exit 9
printf 'first\n'; sleep 0.3; printf 'second\n'; echo enough >&2; exit 3`)
	path := filepath.Join(t.TempDir(), "screen")
	screen, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	err = drawn(s.command(t.Context(), "status", "--watch"), screen, []string{"head", ""})
	wantError(t, err, "exit status 3", "enough")
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	frame := func(text string) string { return fmt.Sprintf("\x1b[3;1H%s\x1b[K\x1b[J", text) }
	want := enterScreen + "head\r\n\r\n" + frame("first") + frame("second") + leaveScreen
	if string(got) != want {
		t.Errorf("the screen got %q, want %q", got, want)
	}
}
