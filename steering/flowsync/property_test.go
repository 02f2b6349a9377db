package flowsync

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// story is one random run of a rig. Flows bear in ISN the term in which the
// active gateway wrote them, and in ClientSeq a number of the writing.
type story struct {
	*rig
	rng    *rand.Rand
	active int
	term   uint64
	serial uint32
}

// storyFlows is small, so that the same flows come and go.
const storyFlows = 300

func TestTablesBecomeEqualWhateverHappens(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { tell(t, seed) })
		})
	}
}

func tell(t *testing.T, seed uint64) {
	s := &story{rig: newRig(t, "gw-a", "gw-b", "gw-c"), rng: rand.New(rand.NewPCG(seed, 1)), term: 1}
	s.tune = func(o *Options) { o.MaxChanges, o.Refresh, o.SnapshotRate = 60, time.Hour, 2000 }
	for _, n := range s.nodes {
		n.table.batch = 1 + s.rng.IntN(40)
		n.table.imported = func(flows []Flow) { s.fenced(n, flows) }
		s.start(n)
	}
	s.roles(0, 1)
	for range 120 {
		s.step()
		time.Sleep(time.Duration(s.rng.IntN(60)) * time.Millisecond)
	}
	s.rest()
}

// fenced fails the test if a node imports what is older than the term it knows. It
// runs while the node holds its roles. One that is active imports only what it lacks
// and is told back; that is of its term from then on.
func (s *story) fenced(n *node, flows []Flow) {
	f := n.sync.roles.fences["edge"]
	for i := range flows {
		if f.active == 0 {
			// What an active gateway tells last it looks up when it is one no more, and may
			// have it newer than the term it was active in.
			if uint64(flows[i].ISN) < f.term {
				s.t.Errorf("%s imported a flow of term %d in term %d", n.name, flows[i].ISN, f.term)
			}
			continue
		}
		if f.lacks == none || uint64(flows[i].ISN) >= f.term {
			s.t.Errorf("%s imported a flow of term %d although it is active in %d and lacks %v", n.name, flows[i].ISN, f.term, f.lacks)
		}
		if _, own := n.table.flows[flows[i].Key]; own {
			s.t.Errorf("%s was told a flow it has itself", n.name)
		}
		flows[i].ISN = uint32(f.term)
	}
}

func (s *story) step() {
	a, b := s.nodes[s.rng.IntN(len(s.nodes))], s.nodes[s.rng.IntN(len(s.nodes))]
	switch n := s.rng.IntN(40); {
	case n < 24:
		s.change(1 + s.rng.IntN(20))
	case n < 27:
		s.change(200) // more than may wait
	case n < 30 && a != b:
		s.net.sever(a.addr, b.addr, false)
	case n < 32 && a != b:
		s.net.sever(a.addr, b.addr, true)
	case n < 34 && a != b:
		s.net.sever(a.addr, b.addr, false)
	case n < 36:
		s.restart(a)
	case n < 38:
		s.takeOver()
	case n < 39:
		s.nodes[s.active].table.put(s.flow(s.rng.IntN(storyFlows))) // nobody heard of it
		s.nodes[s.active].sync.Lost()
	}
}

// flow is one as the active gateway writes it.
func (s *story) flow(n int) Flow {
	s.serial++
	f := flow(n, s.rng.IntN(5))
	f.ISN, f.ClientSeq, f.HeaderOpen = uint32(s.term), s.serial, s.rng.IntN(8) == 0
	return f
}

func (s *story) change(count int) {
	n := s.nodes[s.active]
	for range count {
		if i := s.rng.IntN(storyFlows); s.rng.IntN(3) == 0 {
			n.drop(key(i))
		} else {
			n.put(s.flow(i))
		}
	}
	s.closeHeaders()
}

// closeHeaders closes some open headers, of which no event tells.
func (s *story) closeHeaders() {
	for i := range storyFlows {
		if s.rng.IntN(4) == 0 {
			s.closeHeader(s.nodes[s.active], i)
		}
	}
}

func (s *story) closeHeader(n *node, i int) {
	n.table.mu.Lock()
	defer n.table.mu.Unlock()
	if e, ok := n.table.flows[key(i)]; ok && e.flow.HeaderOpen {
		e.flow.HeaderOpen = false
		n.table.flows[key(i)] = e
	}
}

// restart starts a node again, with its table or without.
func (s *story) restart(n *node) {
	n.stop()
	if n != s.nodes[s.active] && s.rng.IntN(2) == 0 {
		n.table.mu.Lock()
		clear(n.table.flows)
		n.table.mu.Unlock()
	}
	s.start(n)
	s.role(n, n == s.nodes[s.active], s.term)
}

// takeOver makes a gateway active in a new term. The others hear of it one by
// one, the old one perhaps late: it writes on meanwhile.
func (s *story) takeOver() {
	old := s.nodes[s.active]
	s.active = s.rng.IntN(len(s.nodes))
	now := s.nodes[s.active]
	s.alone(now)
	s.term++
	s.restamp(now)
	s.role(now, true, s.term)
	for _, i := range s.rng.Perm(len(s.nodes)) {
		n := s.nodes[i]
		if n == now {
			continue
		}
		if n == old && s.rng.IntN(2) == 0 {
			f := s.flow(s.rng.IntN(storyFlows))
			f.ISN--
			n.put(f)
			time.Sleep(time.Duration(s.rng.IntN(100)) * time.Millisecond)
		}
		s.role(n, false, s.term)
	}
}

// alone keeps a gateway's table as it is.
func (s *story) alone(n *node) {
	if err := n.sync.SetClusters([]Cluster{{Name: "edge", Term: s.term, VIPs: []netip.Addr{vip}}}); err != nil {
		s.t.Fatal(err)
	}
}

// restamp makes the flows of a gateway those of the term.
func (s *story) restamp(n *node) {
	n.table.mu.Lock()
	defer n.table.mu.Unlock()
	for k, e := range n.table.flows {
		e.flow.ISN = uint32(s.term)
		n.table.flows[k] = e
	}
}

// rest mends the network and sees that all tables become that of the active.
func (s *story) rest() {
	for i, a := range s.nodes {
		for _, b := range s.nodes[i+1:] {
			s.net.sever(a.addr, b.addr, false)
		}
	}
	active := s.nodes[s.active]
	for i := range storyFlows {
		s.closeHeader(active, i)
	}
	settle(20 * time.Second)
	for _, n := range s.nodes {
		if !n.sync.Synced("edge") {
			s.t.Errorf("%s is not synced: %+v", n.name, n.sync.Status())
		}
		s.same(active, n)
	}
}
