package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"sluice/internal/control"
)

const (
	// pollEvery is how often a wait looks at the backends. It reads counters
	// and not the flow table, so it costs the node nothing.
	pollEvery = time.Second
	// pollTimeout keeps a node that hangs from holding up whoever looks again
	// and again; it will be asked again anyway.
	pollTimeout = 5 * time.Second
	// absence is how long a node may stay away during a wait: it may just be
	// restarted, and the drain goes on meanwhile.
	absence = 30 * time.Second
)

// goal is what a wait is for.
type goal struct {
	verb string // for what is said
	// done reports whether the backend needs no more waiting.
	done func(control.Backend) bool
	// lifted says how another order ended this one; "" while it stands.
	lifted func(control.Backend) string
}

var (
	goalDrained = goal{"drain",
		func(b control.Backend) bool { return b.State == control.StateDisabled || gone(b) },
		func(b control.Backend) string {
			if b.State == control.StateUp || b.State == control.StateDown {
				return "was enabled again"
			}
			return ""
		},
	}
	goalEmpty = goal{"disable",
		func(b control.Backend) bool { return b.FlowsNow == 0 },
		goalDrained.lifted,
	}
	goalUp = goal{"enable",
		func(b control.Backend) bool { return b.State == control.StateUp },
		func(b control.Backend) string {
			if b.State == control.StateDown || b.State == control.StateUp {
				return ""
			}
			return "is " + string(b.State) + " by another order"
		},
	}
)

// gone reports whether a backend left the settings and nothing of it lives.
func gone(b control.Backend) bool {
	return b.State == control.StateRemoved && b.FlowsNow == 0
}

// waiting is one wait for some backends.
type waiting struct {
	goal
	limit time.Duration // 0 for none
	names map[netip.AddrPort]string
}

// newWaiting remembers addresses and not names: they are what a backend is.
func newWaiting(changes []control.BackendChange, g goal, limit time.Duration) waiting {
	w := waiting{goal: g, limit: limit, names: make(map[netip.AddrPort]string)}
	for _, c := range changes {
		w.names[c.Addr] = c.Name
	}
	return w
}

// left is what a wait still waits for.
type left struct {
	names         []string
	flows, silent uint64
	upperBound    bool
}

// look compares the backends with the goal. A backend that is not in the list
// left the settings with its last flow.
func (w waiting) look(backends []control.Backend) (left, error) {
	var l left
	for _, b := range backends {
		if _, ours := w.names[b.Addr]; !ours {
			continue
		}
		if why := w.lifted(b); why != "" {
			return l, fail("nothing more to wait for", "wait for %s: %s %s", w.verb, b.Name, why)
		}
		if w.done(b) {
			continue
		}
		l.names = append(l.names, b.Name)
		l.flows += b.FlowsNow
		l.silent += b.FlowsSilent
		l.upperBound = l.upperBound || b.FlowsNowIsUpperBound
	}
	return l, nil
}

// text is the progress line without the time.
func (l left) text() string {
	noun := "flows"
	if l.flows == 1 {
		noun = "flow"
	}
	text := fmt.Sprintf("%s: %s %s left", listText(l.names), flowsText(l.flows, l.upperBound), noun)
	if l.upperBound && l.silent > 0 {
		text += fmt.Sprintf(", %d silent for over 15m", l.silent)
	}
	return text
}

// waitFor polls until the goal is reached. It fails when somebody else ended
// the order, and when patience runs out, the node stays away or Ctrl-C comes:
// then the order stays in force, and the error says so.
func (g *globals) waitFor(ctx context.Context, n *remote, w waiting) error {
	ctx, stop := g.interruptible(ctx)
	defer stop()
	p := newProgress(g.env)
	defer p.end()
	start, heard := g.now(), g.now()
	var last left
	for {
		list, err := n.poll(ctx)
		switch {
		case ctx.Err() != nil:
			return w.ended("interrupted", last)
		case err != nil && g.now().Sub(heard) > absence:
			f := asFailure(g.stderr, n.explain(err))
			f.hints = append(f.hints, w.standing())
			return f
		case err != nil:
			p.show("the node does not answer, trying again")
		default:
			heard = g.now()
			if last, err = w.look(list.Backends); err != nil {
				return err
			}
			if len(last.names) == 0 {
				return nil
			}
			p.show(last.text())
		}
		pause := pollEvery
		if w.limit > 0 {
			rest := w.limit - g.now().Sub(start)
			if rest <= 0 {
				return w.ended(spanText(w.limit)+" are over", last)
			}
			pause = min(pause, rest)
		}
		select {
		case <-g.after(pause):
		case <-ctx.Done():
		}
	}
}

// poll reads the backends without patience for a node that hangs.
func (n *remote) poll(ctx context.Context) (control.BackendList, error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	return n.Backends(ctx)
}

// ended words a wait that did not reach its goal.
func (w waiting) ended(why string, l left) error {
	text := fmt.Sprintf("wait for %s: %s", w.verb, why)
	if len(l.names) > 0 {
		text += "; " + l.text()
	}
	return fail(w.standing(), "%s", text)
}

// standing says that only the waiting is over.
func (w waiting) standing() string {
	text := fmt.Sprintf("the %s stays in force; \"sluice show backends\" shows how far it is", w.verb)
	if w.verb != "enable" {
		text += ", \"sluice enable\" takes it back"
	}
	return text
}
