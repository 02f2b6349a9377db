package election

import (
	"fmt"
	"testing"
	"time"
)

const ms = time.Millisecond

func (w *world) active() *simNode {
	w.t.Helper()
	for _, n := range w.nodes {
		if s, _ := n.m.State(); s == Active && !n.dead {
			return n
		}
	}
	w.fail("states are %q, nobody is active", w.states())
	return nil
}

// served is for how much of a time a word was open.
func (w *world) served(d time.Duration) time.Duration {
	served := time.Duration(0)
	for end := w.now + d; w.now < end; {
		w.run(ms)
		for _, n := range w.nodes {
			if !n.dead && n.open() {
				served += ms
				break
			}
		}
	}
	return served
}

// never fails where two words were open.
func (w *world) never() {
	w.t.Helper()
	if w.dual >= 0 {
		w.fail("two owner words were open at %v", w.dual-time.Hour)
	}
}

// TestStoppedBetweenEffects: the active node is stopped between any two things that it
// does. What it told last allows its word to be open for as long as it is, and what it
// goes on with tells nothing that is not so any more.
func TestStoppedBetweenEffects(t *testing.T) {
	for _, beats := range []bool{false, true} {
		for seed := range uint64(40) {
			w := newWorld(t, setup{nodes: 2, seed: seed, beats: beats, pings: beats, priorities: []uint8{250, 254}})
			w.run(3 * time.Second)
			w.dual = -1 // by adverts alone two may start together
			n := w.active()
			n.stopIn = 1 + int(seed%8)
			w.run(2 * time.Second)
			w.never()
			n.frozen = false
			w.run(5 * time.Second)
			w.wantOne()
		}
	}
}

// TestSlowTake: however long it takes to get the addresses, the word is open from the
// decision on, adverts go out meanwhile, and the role stays where it is.
func TestSlowTake(t *testing.T) {
	for _, nodes := range []int{2, 3} {
		for _, takes := range []time.Duration{30 * ms, 200 * ms, 320 * ms, 500 * ms, 3 * time.Second} {
			for _, beats := range []bool{false, true} {
				t.Run(fmt.Sprint(nodes, takes, beats), func(t *testing.T) {
					for seed := range uint64(5) {
						w := newWorld(t, setup{nodes: nodes, seed: seed, beats: beats, pings: beats})
						for _, n := range w.nodes {
							n.takes = takes
						}
						w.run(5 * time.Second)
						w.wantOne()
						w.powerOff(w.active().id)
						if served := w.served(5 * time.Second); served < 4600*ms {
							w.fail("served %v of 5s", served)
						}
						w.wantOne()
						for _, n := range w.nodes[1:] {
							if len(n.changes) > 2 {
								w.fail("node %d changed %d times", n.id, len(n.changes))
							}
						}
					}
				})
			}
		}
	}
}

// TestTakeFails: a gateway that cannot take the VIPs leaves the role to another one.
func TestTakeFails(t *testing.T) {
	for seed := range uint64(20) {
		w := pair(t, setup{seed: seed, beats: seed%2 == 0, preempt: true})
		w.powerOff(0)
		w.run(time.Second)
		w.nodes[0].takeFails = true
		w.nodes[0].boot()
		if served := w.served(time.Minute); served < 50*time.Second {
			w.fail("served %v of a minute", served)
		}
		w.never()
		w.nodes[0].takeFails = false
		w.run(20 * time.Second)
		w.want("active backup")
	}
}

// TestAdoptFails: a new process that cannot go on from where its predecessor stopped,
// or is late, has closed the words before others hear that it is not active.
func TestAdoptFails(t *testing.T) {
	for seed := range uint64(40) {
		w := pair(t, setup{seed: seed, beats: seed%2 == 0})
		n := w.nodes[0]
		if n.adoptFails = seed%4 < 2; !n.adoptFails {
			n.adopts = 600 * ms
		}
		w.restart(n)
		w.run(2 * time.Second)
		w.wantOne()
	}
}

// TestHeldUpWhilePreempted: by adverts alone, who claims the role waits for an active
// node that is held up as long as its word may be open.
func TestHeldUpWhilePreempted(t *testing.T) {
	for seed := range uint64(20) {
		w := pair(t, setup{seed: seed, preempt: true})
		w.powerOff(0)
		w.run(3 * time.Second)
		w.nodes[0].boot()
		for !w.nodes[0].m.claiming.adverts {
			w.run(ms)
			if s, since := w.nodes[0].m.State(); s == Backup && w.now-since > time.Second-15*ms && !w.nodes[1].busy {
				w.note("1 is held up")
				w.nodes[1].block(250 * ms)
			}
		}
		w.run(time.Second)
		w.wantOne()
	}
}

// TestMute: an active node that cannot send gives the role up before another one takes
// it.
func TestMute(t *testing.T) {
	for _, beats := range []bool{false, true} {
		for seed := range uint64(20) {
			w := pair(t, setup{seed: seed, beats: beats})
			w.nodes[0].mute = true
			w.run(3 * time.Second)
			w.want(map[bool]string{false: "fault active", true: "backup active"}[beats])
		}
	}
}

// TestBackupsApart: of three, the backups do not hear each other's heartbeats; then
// the active node is gone, and only time keeps them from taking the role together.
func TestBackupsApart(t *testing.T) {
	for _, takes := range []time.Duration{0, 30 * ms, 300 * ms} {
		for seed := range uint64(20) {
			w := newWorld(t, setup{nodes: 3, seed: seed, beats: true, pings: true})
			for _, n := range w.nodes {
				n.takes = takes
			}
			w.run(3 * time.Second)
			w.want("active backup backup")
			w.cutBeat(1, 2)
			w.cutBeat(2, 1)
			w.run(time.Second)
			w.powerOff(0)
			w.run(2 * time.Second)
			w.wantOne()
		}
	}
}

// TestOneBackupDeaf: of three, one backup does not hear the other; then the active
// node gives the role up, and both know at once.
func TestOneBackupDeaf(t *testing.T) {
	for seed := range uint64(20) {
		for from := 1; from <= 2; from++ {
			w := newWorld(t, setup{nodes: 3, seed: seed, beats: true, pings: true})
			w.run(2 * time.Second)
			w.want("active backup backup")
			w.cutBeat(from, 3-from)
			w.run(time.Second)
			w.nodes[0].m.Stop(w.now)
			w.nodes[0].run()
			w.run(2 * time.Second)
			w.wantOne()
		}
	}
}

// TestBackupsLoseEachOther: the same, a moment after the active node is gone.
func TestBackupsLoseEachOther(t *testing.T) {
	for seed := range uint64(300) {
		w := newWorld(t, setup{nodes: 3, seed: seed, beats: true, pings: true})
		w.run(2*time.Second + w.upTo(100*ms))
		w.want("active backup backup")
		w.nodes[0].frozen = true
		w.run(w.upTo(400 * ms))
		w.cutBeat(1, 2)
		w.cutBeat(2, 1)
		w.run(2 * time.Second)
		w.never()
	}
}
