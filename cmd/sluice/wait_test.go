package main

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/internal/control"
)

func TestWaitOnATerminal(t *testing.T) {
	w := newWorld(true)
	_, socket, _ := w.node(t)
	if code := w.run(socket, "drain", "blue1", "--wait"); code != 0 {
		t.Fatalf("exit code %d: %s", code, w.err.String())
	}
	want := "\r\x1b[Kblue1: 3 flows left (0s)\r\x1b[Kblue1: 2 flows left (1s)\r\x1b[Kblue1: 1 flow left (2s)" +
		"\r\x1b[Kblue1: 0 flows left (3s)\r\x1b[K"
	if got := w.err.String(); got != want {
		t.Errorf("progress\n%q, want\n%q", got, want)
	}
	if got := w.out.String(); got != "blue1 (10.0.0.11:22): draining, was up, 3 flows now\n" {
		t.Errorf("standard output\n%s", got)
	}
}

// TestWaitPatience: the clock decides, to the second, and a wait that is done
// in the last look succeeds.
func TestWaitPatience(t *testing.T) {
	for limit, code := range map[string]int{"2500ms": 1, "4s": 0, "0s": 0} {
		w := newWorld(false)
		_, socket, _ := w.node(t)
		if got := w.run(socket, "drain", "blue1", "--wait="+limit); got != code {
			t.Errorf("--wait=%s: exit code %d, want %d: %s", limit, got, code, w.err.String())
		}
		if took := w.clock.Sub(epoch); took > 4*time.Second {
			t.Errorf("--wait=%s took %v", limit, took)
		}
	}
}

// TestWaitOverRestarts takes the node away twice, each time for less than a
// wait bears and both for more: each absence counts by itself.
func TestWaitOverRestarts(t *testing.T) {
	w := newWorld(false)
	n, socket, stop := w.node(t)
	n.backends[0].FlowsNow = 10
	w.pause = func(context.CancelFunc) {
		switch w.clock.Sub(epoch) {
		case 2 * time.Second, 24 * time.Second:
			stop()
		case 22 * time.Second, 44 * time.Second:
			_, stop = n.start(t, socket[:strings.LastIndex(socket, "/")])
		}
	}
	if code := w.run(socket, "drain", "blue1", "--wait"); code != 0 {
		t.Errorf("exit code %d: %s", code, w.err.String())
	}
}

// TestWaitOverARestart takes the node away for a while. A drain does not end
// with the node, so neither does the wait, but not for ever.
func TestWaitOverARestart(t *testing.T) {
	for _, tt := range []struct {
		away time.Duration
		code int
	}{{20 * time.Second, 0}, {time.Hour, 1}} {
		w := newWorld(false)
		n, socket, stop := w.node(t)
		back := epoch.Add(2*time.Second + tt.away)
		w.pause = func(context.CancelFunc) {
			switch {
			case w.clock.Equal(epoch.Add(2 * time.Second)):
				stop()
			case w.clock.Equal(back):
				n.start(t, socket[:strings.LastIndex(socket, "/")])
			}
		}
		if got := w.run(socket, "drain", "blue1", "--wait"); got != tt.code {
			t.Errorf("away for %v: exit code %d, want %d", tt.away, got, tt.code)
		}
		if !strings.Contains(w.err.String(), "the node does not answer, trying again") {
			t.Errorf("progress does not tell:\n%s", w.err.String())
		}
		if tt.code == 0 {
			continue
		}
		for _, want := range []string{"sluice: reach node at", "hint: no node runs", "hint: the drain stays in force"} {
			if !strings.Contains(w.err.String(), want) {
				t.Errorf("the end does not tell %q:\n%s", want, w.err.String())
			}
		}
	}
}

func TestWaitInterrupted(t *testing.T) {
	w := newWorld(true)
	_, socket, _ := w.node(t)
	w.pause = func(interrupt context.CancelFunc) { interrupt() }
	if code := w.run(socket, "drain", "blind", "--wait"); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	want := "\r\x1b[Ksluice: wait for drain: interrupted; blind: ≤5 flows left, 2 silent for over 15m\n" +
		"hint: the drain stays in force; \"sluice show backends\" shows how far it is, \"sluice enable\" takes it back\n"
	if !strings.HasSuffix(w.err.String(), want) {
		t.Errorf("standard error ends\n%q, want\n%q", w.err.String(), want)
	}
}

func TestGoals(t *testing.T) {
	addr := netip.MustParseAddrPort("10.0.0.11:22")
	other := control.Backend{Name: "red", Addr: netip.MustParseAddrPort("10.0.0.99:22"), State: control.StateUp, FlowsNow: 7}
	for _, tt := range []struct {
		goal   goal
		state  control.BackendState
		flows  uint64
		left   int // backends that are waited for
		lifted bool
	}{
		{goalDrained, control.StateDraining, 3, 1, false},
		{goalDrained, control.StateDraining, 0, 1, false}, // the node has not said so yet
		{goalDrained, control.StateDisabled, 0, 0, false},
		{goalDrained, control.StateDisabled, 3, 0, false}, // its deadline reset them; some close late
		{goalDrained, control.StateRemoved, 3, 1, false},
		{goalDrained, control.StateRemoved, 0, 0, false},
		{goalDrained, control.StateUp, 3, 0, true},
		{goalDrained, control.StateDown, 3, 0, true},
		{goalEmpty, control.StateDisabled, 3, 1, false},
		{goalEmpty, control.StateDisabled, 0, 0, false},
		{goalEmpty, control.StateUp, 3, 0, true},
		{goalUp, control.StateDown, 0, 1, false},
		{goalUp, control.StateUp, 3, 0, false},
		{goalUp, control.StateDraining, 3, 0, true},
		{goalUp, control.StateDisabled, 3, 0, true},
		{goalUp, control.StateRemoved, 3, 0, true},
	} {
		w := newWaiting([]control.BackendChange{{Name: "blue1", Addr: addr}}, tt.goal, 0)
		l, err := w.look([]control.Backend{other, {Name: "blue1", Addr: addr, State: tt.state, FlowsNow: tt.flows}})
		if len(l.names) != tt.left || (err != nil) != tt.lifted {
			t.Errorf("%s of %s with %d flows: waits for %d (%v), want %d, lifted %t", tt.goal.verb, tt.state, tt.flows, len(l.names), err, tt.left, tt.lifted)
		}
	}
	w := newWaiting([]control.BackendChange{{Name: "blue1", Addr: addr}}, goalDrained, 0)
	if l, err := w.look([]control.Backend{other}); err != nil || len(l.names) != 0 {
		t.Errorf("a backend that is gone: waits for %v (%v)", l.names, err)
	}
}
