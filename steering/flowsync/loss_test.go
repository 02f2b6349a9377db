package flowsync

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// saga is a random run in which gateways take over that lack flows, and in which
// the former active one is late to hear of it. Every flow has a key of its own.
type saga struct {
	*rig
	rng    *rand.Rand
	active int
	term   uint64
	next   int
	// live are the flows that were opened, not ended, and not lost by a crash of the
	// last gateway that had them; when each was opened.
	live map[int]time.Time
	// late are gateways that do not know yet who is active.
	late map[*node]bool
}

// TestNoFlowIsLost: whoever takes over, however little it has: in the end it has
// every flow that a gateway has which lived through it, and all tables are its own.
func TestNoFlowIsLost(t *testing.T) {
	told := 0
	for seed := range uint64(80) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { told += (&saga{rng: rand.New(rand.NewPCG(seed, 2))}).play(t) })
		})
	}
	if told < 100 {
		t.Errorf("flows were told back %d times in all", told)
	}
}

// play returns how often flows were told back.
func (s *saga) play(t *testing.T) int {
	s.rig, s.term = newRig(t, []string{"gw-a", "gw-b", "gw-c"}[:2+s.rng.IntN(2)]...), 1
	s.tune = func(o *Options) { o.MaxChanges, o.SnapshotRate = 100, 1000 }
	s.live, s.late = map[int]time.Time{}, map[*node]bool{}
	for _, n := range s.nodes {
		n.table.batch = 1 + s.rng.IntN(20)
		s.start(n)
	}
	s.roles(0, 1)
	for range 60 {
		s.step()
		time.Sleep(time.Duration(s.rng.IntN(400)) * time.Millisecond)
	}
	s.end()
	told := 0
	for _, n := range s.nodes {
		for _, e := range n.events {
			if e.Kind == EventTold && e.Text == "it told the flows it has of former terms" {
				told++
			}
		}
	}
	return told
}

func (s *saga) step() {
	a, b := s.nodes[s.rng.IntN(len(s.nodes))], s.nodes[s.rng.IntN(len(s.nodes))]
	switch n := s.rng.IntN(20); {
	case n < 8:
		s.open(1 + s.rng.IntN(80))
		s.close(s.rng.IntN(20))
	case n < 11 && a != b:
		s.net.sever(a.addr, b.addr, true)
	case n < 14 && a != b:
		s.net.sever(a.addr, b.addr, false)
	case n < 16:
		s.takeOver()
	case n < 18:
		s.hear(a)
	case n < 19:
		s.crash(a)
	case n < 20 && a == s.nodes[s.active]:
		s.start(a) // the node process alone: the table stays, and the term
		s.role(a, true, s.term)
	}
}

func (s *saga) open(count int) {
	for range count {
		s.next++
		s.live[s.next] = time.Now()
		s.nodes[s.active].put(flow(s.next, 1+s.next%5))
	}
}

// close ends some flows that the active gateway has.
func (s *saga) close(count int) {
	n := s.nodes[s.active]
	for i := range s.live {
		if f, _ := n.table.find([]Key{key(i)}); count > 0 && len(f) > 0 {
			n.drop(key(i))
			delete(s.live, i)
			count--
		}
	}
}

// takeOver makes another gateway active, whatever it has. Nobody else hears of it
// from the election.
func (s *saga) takeOver() {
	old := s.active
	for s.active == old {
		s.active = s.rng.IntN(len(s.nodes))
	}
	s.term++
	now := s.nodes[s.active]
	s.tooYoung(now)
	s.role(now, true, s.term)
	delete(s.late, now)
	for _, n := range s.nodes {
		if n != now {
			s.late[n] = true
		}
	}
}

// tooYoung gives up flows that are younger than the lag which a copy may have.
func (s *saga) tooYoung(n *node) {
	n.sync.roles.mu.Lock()
	copied := n.sync.copied("edge", n.sync.roles.fences["edge"])
	n.sync.roles.mu.Unlock()
	for i, opened := range s.live {
		if f, _ := n.table.find([]Key{key(i)}); copied != "" && len(f) == 0 && time.Since(opened) < 2*syncedLag {
			delete(s.live, i)
		}
	}
}

// hear has a gateway learn who is active.
func (s *saga) hear(n *node) {
	if s.late[n] {
		delete(s.late, n)
		s.role(n, false, s.term)
	}
}

// crash has a gateway lose its memory and start again. Flows that nobody else has
// are gone; a copy that was never complete is not worth telling.
func (s *saga) crash(n *node) {
	n.stop()
	n.table.mu.Lock()
	clear(n.table.flows)
	n.table.mu.Unlock()
	for i := range s.live {
		if !s.held(i) {
			delete(s.live, i)
		}
	}
	s.start(n)
	delete(s.late, n)
	s.role(n, false, s.term)
	if n == s.nodes[s.active] {
		s.takeOver() // somebody else: a role ends with the memory
	}
}

func (s *saga) held(i int) bool {
	for _, n := range s.nodes {
		n.sync.roles.mu.Lock()
		to := n.sync.roles.fences["edge"].have.To
		n.sync.roles.mu.Unlock()
		if f, _ := n.table.find([]Key{key(i)}); to > 0 && len(f) > 0 {
			return true
		}
	}
	return false
}

func (s *saga) end() {
	for i, a := range s.nodes {
		for _, b := range s.nodes[i+1:] {
			s.net.sever(a.addr, b.addr, false)
		}
		s.hear(a)
	}
	settle(30 * time.Second)
	active := s.nodes[s.active]
	lost := 0
	for i := range s.live {
		if f, _ := active.table.find([]Key{key(i)}); len(f) == 0 {
			lost++
		}
	}
	if lost > 0 {
		s.t.Errorf("%d of %d flows are lost", lost, len(s.live))
	}
	if st := active.sync.Status().Clusters[0]; !st.Whole || len(st.Asked) > 0 {
		s.t.Errorf("the active gateway is not whole: %+v", st)
	}
	for _, n := range s.nodes {
		if !n.sync.Synced("edge") {
			s.t.Errorf("%s is not synced: %+v", n.name, n.sync.Status())
		}
		s.same(active, n)
	}
}
