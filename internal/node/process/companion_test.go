package process

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func TestStartedAt(t *testing.T) {
	before := time.Now().Add(-time.Second / userHZ)
	other := startRole(t, "child")
	at, err := StartedAt(other.Process.Pid)
	if after := time.Now().Add(time.Second / userHZ); err != nil || at.Before(before) || at.After(after) {
		t.Errorf("started %v, want %v to %v, %v", at, before, after, err)
	}
	other.end()
	if _, err := StartedAt(other.Process.Pid); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of a process that has ended: %v", err)
	}
}

func TestParseStart(t *testing.T) {
	const before, after = "R 1 1 1 0 -1 4194560 100 0 0 0 1 1 0 0 20 0 8 0 ", " 1000 100 0"
	for text, want := range map[string]time.Duration{
		"4 (sluice) " + before + "250" + after:                 2500 * time.Millisecond,
		"4 (a) 1 (b) " + before + "1" + after:                  10 * time.Millisecond,
		"4 (" + ") " + ") " + before + "0" + after:             0,
		"4 (sluice) " + before + "25":                          250 * time.Millisecond,
		"4 (sluice) " + before:                                 -1,
		"4 (sluice) " + before + "-5" + after:                  -1,
		"4 (sluice) " + before + "9" + strings.Repeat("0", 18): -1,
		"4 (sluice": -1,
		"":          -1,
	} {
		got, err := parseStart(text)
		if (err != nil) != (want == -1) || err == nil && got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
}

func TestNoCompanion(t *testing.T) {
	if c, found, err := FindCompanion(bootBelow(t.TempDir())); found || err != nil {
		t.Errorf("found %+v, %v", c, err)
	}
}

func FuzzParseStart(f *testing.F) {
	f.Add("4 (sluice) R 1 1 1 0 -1 4194560 100 0 0 0 1 1 0 0 20 0 8 0 250 1000 100 0")
	f.Add(")))")
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := parseStart(text); d < 0 || err != nil && d != 0 {
			t.Errorf("%v, %v", d, err)
		}
	})
}
