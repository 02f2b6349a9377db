package election

import (
	"errors"
	"os"
	"testing"
	"time"
)

// TestSchedules runs random faults, healed at random, and wants: no two open
// words at any time, one active node once all is well, no change where nothing
// happened. What two nodes cannot tell apart, both links cut while both reach
// their hosts, is left out.
func TestSchedules(t *testing.T) {
	runs := uint64(100)
	if os.Getenv("SLUICE_TEST_FULL") != "" {
		runs = 10_000
	}
	for seed := range runs {
		s := setup{nodes: 2 + int(seed%2), seed: seed, beats: true, pings: true, preempt: seed%4 < 2}
		if seed%5 == 0 && s.nodes == 2 {
			// Of three, two backups of one priority that do not hear each other's
			// heartbeats take the role together, as RFC 9568 has it.
			s.priorities = []uint8{100, 100}
		}
		w := newWorld(t, s)
		w.note("seed %d, %+v", seed, s)
		w.run(2 * time.Second)
		for range 6 {
			w.mishap()
			w.run(time.Duration(w.rng.Int64N(int64(4 * time.Second))))
			if w.rng.IntN(3) == 0 {
				w.mishap()
				w.run(time.Duration(w.rng.Int64N(int64(4 * time.Second))))
			}
			w.recover()
			w.run(time.Duration(w.rng.Int64N(int64(6 * time.Second))))
		}
		w.run(12 * time.Second)
		w.wantOne()
	}
}

// mishap does one bad thing to the world.
func (w *world) mishap() {
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	other := w.nodes[(n.id+1)%len(w.nodes)]
	switch w.rng.IntN(16) {
	case 0:
		w.powerOff(n.id)
	case 1:
		n.frozen = true
		w.note("%d is stopped", n.id)
	case 2: // the link, both ways
		if !w.lanCut() {
			w.cutBeat(n.id, other.id)
			w.cutBeat(other.id, n.id)
		}
	case 3:
		if !w.lanCut() {
			w.cutBeat(n.id, other.id)
		}
	case 4:
		if !w.beatCut() {
			w.cutLAN(n.id, other.id)
		}
	case 5:
		if !w.beatCut() {
			w.cut[[3]int{n.id, other.id, 0}] = true
			w.cut[[3]int{other.id, n.id, 0}] = true
			w.note("segment 0 does not pass %d ↔ %d", n.id, other.id)
		}
	case 6:
		s := w.rng.IntN(w.segs)
		w.targetDown[s] = true
		w.note("ping target %d is down", s)
	case 7:
		s := w.rng.IntN(w.segs)
		n.linkDown[s] = true
		w.note("%d: link %d is down", n.id, s)
	case 8:
		n.faults = []string{"no dataplane"}
		w.note("%d has a fault", n.id)
	case 9:
		if !n.dead && !n.frozen {
			// The process ends and starts again; the words are open for their time.
			w.note("%d is killed, open %v", n.id, n.open())
			w.restart(n)
		}
	case 11: // the kernel keeps everybody's work on addresses waiting
		for _, n := range w.nodes {
			n.takes, n.leaves = 400*time.Millisecond, 150*time.Millisecond
		}
		w.note("work on addresses is slow")
	case 12:
		n.takeFails = true
		w.note("%d cannot take the VIPs", n.id)
	case 13:
		if !n.dead && !n.frozen && !n.busy {
			n.adoptFails, n.adopts = w.rng.IntN(2) == 0, 400*time.Millisecond
			w.note("%d is killed, open %v; going on from there fails: %v", n.id, n.open(), n.adoptFails)
			w.restart(n)
		}
	case 14:
		if !w.beatCut() {
			n.mute = true
			w.note("%d cannot send adverts", n.id)
		}
	case 15:
		n.stopIn = 1 + w.rng.IntN(8)
		w.note("%d is to be stopped after %d effects", n.id, n.stopIn)
	case 10:
		if !n.dead && !n.frozen {
			err := n.m.Order(w.now, Order(1+w.rng.IntN(2)), 0)
			w.note("%d is told to swap or resign: %v", n.id, err)
			n.run()
		}
	}
}

// restart is what a daemon does that was killed and started again by its parent.
func (w *world) restart(n *simNode) {
	n.generation++
	n.frozen = true
	n.cfg.Claims = uint32(n.generation) << 16
	term := n.m.Term()
	clear(n.lastBeat)
	generation := n.generation
	w.after(20*time.Millisecond+w.jitter(), func() {
		if n.dead || n.generation != generation {
			return
		}
		n.frozen = false
		n.simLoop.reset()
		n.m = New(n.cfg)
		n.m.Remember(term)
		if !n.open() {
			n.wordOpen = false
			n.m.Local(w.now, n.localNow())
			n.run()
			n.tick(generation)
			return
		}
		n.busy = true // and its sockets are not open
		n.soon(w.upTo(n.adopts), func() {
			n.busy, n.inbox = false, nil
			n.adopt()
			n.run()
			n.tick(generation)
		})
	})
}

// adopt goes on from where a predecessor stopped, or closes what it left open.
func (n *simNode) adopt() {
	switch {
	case n.adoptFails:
		n.cannot(errors.New("the VIPs are not as they were"), time.Second)
	case !n.open():
		n.cannot(errors.New("its owner words closed meanwhile"), time.Second)
	default:
		n.m.Adopt(n.w.now, n.wordUntil, n.localNow())
		return
	}
	n.wordOpen = false
	n.m.Local(n.w.now, n.localNow())
}

func (w *world) lanCut() bool {
	return w.anyCut(func(way int) bool { return way >= 0 }) || w.anyLinkDown()
}
func (w *world) beatCut() bool { return w.anyCut(func(way int) bool { return way < 0 }) }

func (w *world) anyCut(is func(way int) bool) bool {
	for c := range w.cut {
		if is(c[2]) {
			return true
		}
	}
	return false
}

func (w *world) anyLinkDown() bool {
	for _, n := range w.nodes {
		if len(n.linkDown) > 0 || n.mute {
			return true
		}
	}
	return false
}

func (w *world) recover() {
	w.heal()
	for _, n := range w.nodes {
		n.faults = nil
		n.well()
		if n.frozen {
			n.frozen = false
			w.note("%d goes on", n.id)
		}
		if n.dead {
			n.boot()
			w.note("%d boots", n.id)
		}
	}
}

func (w *world) wantOne() {
	w.t.Helper()
	active := 0
	for _, n := range w.nodes {
		if s, _ := n.m.State(); s == Active && !n.dead {
			active++
			if !n.open() {
				w.fail("node %d is active with its word closed", n.id)
			}
		}
	}
	if active != 1 {
		w.fail("states are %q, want one active node", w.states())
	}
	if w.lied {
		w.fail("a node advertised that it is active after its word closed")
	}
	if w.dual >= 0 {
		w.fail("two owner words were open at %v", w.dual-time.Hour)
	}
}
