package notify

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// script writes a program that appends a line to a file, and returns both.
func script(t *testing.T, body string) (program, out string) {
	t.Helper()
	dir := t.TempDir()
	program, out = filepath.Join(dir, "notify"), filepath.Join(dir, "out")
	text := "#!/bin/sh\nOUT=" + out + "\n" + body
	if err := os.WriteFile(program, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return program, out
}

// told runs a notifier for the changes and returns what the program wrote.
func told(t *testing.T, program, out string, changes ...Change) (string, []error) {
	t.Helper()
	var errs []error
	n := New([]string{program, "extra"}, 5*time.Second, (*exec.Cmd).Start, func(err error) { errs = append(errs, err) })
	for _, c := range changes {
		n.Tell(c)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // what is queued is told all the same
	n.Run(ctx)
	text, err := os.ReadFile(out)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text), errs
}

func TestTold(t *testing.T) {
	program, out := script(t, `echo "$@ $SLUICE_STATE $SLUICE_BEFORE $SLUICE_TERM $SLUICE_REASON" >>$OUT`)
	got, errs := told(t, program, out,
		Change{Cluster: "edge", State: "active", Before: "backup", Reason: "a b", Term: 7},
		Change{Cluster: "edge", State: "backup", Before: "active", Reason: "$(id)", Term: 7})
	want := "extra edge active active backup 7 a b\nextra edge backup backup active 7 $(id)\n"
	if got != want || len(errs) > 0 {
		t.Fatalf("told %q, want %q; errors %v", got, want, errs)
	}
}

func TestKilled(t *testing.T) {
	program, out := script(t, `echo started >>$OUT; sleep 600 & wait`)
	var errs []error
	n := New([]string{program}, 100*time.Millisecond, (*exec.Cmd).Start, func(err error) { errs = append(errs, err) })
	n.Tell(Change{Cluster: "edge", State: "active"})
	n.drain(t.Context())
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "was killed") {
		t.Fatalf("errors %v, want one about a program that was killed", errs)
	}
	if _, err := os.Stat(out); err != nil {
		t.Fatal(err)
	}
}

func TestQueue(t *testing.T) {
	program, out := script(t, `echo $SLUICE_TERM >>$OUT`)
	var changes []Change
	for i := range uint64(waiting + 5) {
		changes = append(changes, Change{Cluster: "edge", State: "active", Term: i})
	}
	got, _ := told(t, program, out, changes...)
	lines := strings.Fields(got)
	if len(lines) != waiting || lines[len(lines)-1] != "20" {
		t.Fatalf("told %v, want the last %d", lines, waiting)
	}
}

func TestMissing(t *testing.T) {
	_, errs := told(t, "/nonexistent/program", "/nonexistent/out", Change{Cluster: "edge", State: "active"})
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), `virtual cluster "edge" active`) {
		t.Fatalf("errors %v", errs)
	}
}
