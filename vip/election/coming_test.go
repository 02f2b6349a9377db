package election

import (
	"testing"
	"time"
)

// TestFlowsThatCome: a backup to which flows still come of a gateway whose election
// fell silent waits for them, but not for ever; where power failed, nothing comes and
// it takes over as soon as one that has them all.
func TestFlowsThatCome(t *testing.T) {
	const interval = 100 * time.Millisecond
	for _, test := range []struct {
		name        string
		nodes       int
		pings       bool
		stops       bool          // the active node's election only; else all of it
		comeFor     time.Duration // after that
		sooner, by  time.Duration // when somebody is active
		want, after string
	}{
		{"power fails", 2, true, false, 0, 0, 400 * time.Millisecond, "dead active", "dead active"},
		{"power fails, what was under way comes", 2, true, false, interval / 3, 0, 400 * time.Millisecond, "dead active", "dead active"},
		{"stopped, flows come at last", 2, true, true, 700 * time.Millisecond, 650 * time.Millisecond, 900 * time.Millisecond, "active active", "backup active"},
		{"stopped, flows come and come", 2, true, true, time.Hour, 1400 * time.Millisecond, 1700 * time.Millisecond, "active active", "backup active"},
		{"stopped, no pings", 2, false, true, time.Hour, 900 * time.Millisecond, 1200 * time.Millisecond, "active active", "backup active"},
		{"stopped, a third one has them", 3, true, true, time.Hour, 400 * time.Millisecond, 900 * time.Millisecond, "active backup active", "backup backup active"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for seed := range uint64(20) {
				w := newWorld(t, setup{nodes: test.nodes, seed: seed, beats: true, pings: test.pings, interval: interval})
				for _, n := range w.nodes {
					if !test.pings {
						n.cfg.Settle = 0 // as the settings have it
					}
				}
				w.run(2*time.Second + w.jitter()*40)
				w.nodes[1].synced, w.nodes[1].streamed = false, w.now
				began := w.now
				if test.stops {
					w.nodes[0].frozen = true
				} else {
					w.powerOff(0)
				}
				for w.now-began < test.sooner {
					w.come(began, test.comeFor)
				}
				for w.now-began < test.by && w.only(1, test.nodes) == 0 {
					w.come(began, test.comeFor)
				}
				if w.only(1, test.nodes) == 0 {
					w.fail("nobody took over within %v", test.by)
				}
				if test.sooner > 0 && w.tookOver(began) < test.sooner {
					w.fail("taken over after %v, want no sooner than %v", w.tookOver(began), test.sooner)
				}
				w.want(test.want)
				w.nodes[0].frozen = false
				w.run(5 * time.Second)
				w.want(test.after)
			}
		})
	}
}

// come lets a little time pass in which node 1 hears flows, unless all are there.
func (w *world) come(began, most time.Duration) {
	n := w.nodes[1]
	switch {
	case n.streamed != 0 && w.now-began <= most:
		n.streamed = w.now
	case w.nodes[0].frozen:
		n.streamed, n.synced = 0, true
	}
	w.run(10 * time.Millisecond)
}

// only counts the nodes that are active of those from one number to another.
func (w *world) only(from, to int) (active int) {
	for _, n := range w.nodes[from:to] {
		if s, _ := n.m.State(); s == Active && !n.dead {
			active++
		}
	}
	return active
}

// tookOver is when the first node was active after an instant.
func (w *world) tookOver(since time.Duration) time.Duration {
	first := time.Hour
	for _, n := range w.nodes[1:] {
		if s, at := n.m.State(); s == Active && at > since {
			first = min(first, at-since)
		}
	}
	return first
}

// TestLearn: a term that was heard of by another way is over at the next take-over,
// and is none of an active node's.
func TestLearn(t *testing.T) {
	w := newWorld(t, setup{nodes: 2, beats: true})
	w.run(5 * time.Millisecond)
	w.powerOff(0)
	w.nodes[1].m.Learn(7)
	w.nodes[1].m.Learn(maxTerm)
	w.run(2 * time.Second)
	if s, _ := w.nodes[1].m.State(); s != Active || w.nodes[1].m.Term() != 8 {
		w.fail("it is %v in term %d", s, w.nodes[1].m.Term())
	}
	w.nodes[1].m.Learn(20)
	if w.nodes[1].m.Term() != 8 {
		w.fail("it is active in term %d without a take-over", w.nodes[1].m.Term())
	}
}
