package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/nettest"
)

// program writes a shell script that stands for sluice.
func program(t *testing.T, script string) *sluice {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return &sluice{
		program: path, socket: "/the/socket", log: path + ".log",
		ns: nettest.ForTest(t), patience: 100 * time.Millisecond,
	}
}

func TestStopForcesWhatDoesNotStop(t *testing.T) {
	s := program(t, `trap "" TERM; echo deaf; while :; do sleep 1; done`)
	if err := s.start("file"); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(s.lastWords(), "deaf") {
		time.Sleep(time.Millisecond)
	}
	wantError(t, s.stop(), "did not end within 100ms", "sluice run said", "deaf")
	select {
	case <-s.ended:
	default:
		t.Error("it still runs")
	}
}

// Ctrl-C goes to the whole process group of the terminal; the lab alone may
// hear it, and stops the others in their turn.
func TestProcessesAreOutOfReachOfCtrlC(t *testing.T) {
	s := program(t, "sleep 100")
	if err := s.start("file"); err != nil {
		t.Fatal(err)
	}
	view := s.command(t.Context(), "status", "--watch")
	if err := view.Start(); err != nil {
		t.Fatal(err)
	}
	for what, pid := range map[string]int{"sluice run": s.daemon.Process.Pid, "a command": view.Process.Pid} {
		if group, err := syscall.Getpgid(pid); err != nil || group != pid {
			t.Errorf("%s is in process group %d (%v), not in its own %d", what, group, err, pid)
		}
	}
	_ = view.Process.Kill()
	_ = view.Wait()
	_ = s.stop()
}

func TestStopOfWhatHasEnded(t *testing.T) {
	s := program(t, "exit 3")
	if err := s.stop(); err != nil {
		t.Errorf("stop before start: %v", err)
	}
	if err := s.start("file"); err != nil {
		t.Fatal(err)
	}
	<-s.ended
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

func TestQuery(t *testing.T) {
	s := program(t, `[ "$SLUICE_SOCKET" = /the/socket ] && [ "$*" = "show backends --json" ] &&
echo '{"backends": [{"name": "b1", "state": "up", "flows_opened": 7, "new_field": 1}]}'`)
	got, err := s.backends(t.Context())
	want := backend{Name: "b1", State: "up", FlowsOpened: 7}
	if err != nil || len(got) != 1 || got["b1"] != want {
		t.Errorf("backends are %+v (%v), want %+v", got, err, want)
	}
	err = s.query(t.Context(), &statusAnswer{}, "status")
	wantError(t, err, "sluice status --json", "exit status 1")
	s = program(t, "echo no json")
	_, err = s.backends(t.Context())
	wantError(t, err, "sluice show backends --json", "invalid character")
	s = program(t, "echo sluice: it is broken >&2; echo '  hint: mend it' >&2; exit 1")
	_, err = s.do(t.Context(), "enable", "b1")
	wantError(t, err, "sluice enable b1: exit status 1: sluice: it is broken;   hint: mend it")
}

func TestPoll(t *testing.T) {
	s := &sluice{ended: make(chan struct{})}
	tries := 0
	err := s.poll(t.Context(), func() error {
		if tries++; tries < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if err != nil || tries != 3 {
		t.Errorf("%d tries, %v", tries, err)
	}
	// The last failure that was not the end of patience itself is told.
	ctx, cancel := context.WithCancel(t.Context())
	tries = 0
	err = s.poll(ctx, func() error {
		if tries++; tries == 1 {
			return errors.New("backend b1 is down")
		}
		cancel()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v is not that of the context", err)
	}
	wantError(t, err, "backend b1 is down")
	close(s.ended)
	wantError(t, s.poll(t.Context(), func() error { return errors.New("x") }), "has ended")
}
