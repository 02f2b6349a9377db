package flowsync

import (
	"testing"
	"time"

	"sluice/steering/flowsync/seal"
	"sluice/steering/flowsync/wire"
)

// late is a pair in which b has no connection to a when it takes over in term 2,
// with one flow of its own.
func late(t *testing.T, test func(r *rig, a, b *node)) {
	t.Helper()
	pair(t, func(r *rig, a, b *node) {
		r.net.sever(a.addr, b.addr, true)
		settle(2 * dead)
		b.table.mu.Lock()
		clear(b.table.flows)
		b.table.mu.Unlock()
		a.put(flows(0, 1000)...)
		r.role(b, true, 2)
		b.put(flow(5, 6), flow(2000, 1)) // of one a has another one
		test(r, a, b)
	})
}

func (n *node) cluster() ClusterStatus { return n.sync.Status().Clusters[0] }

// A gateway that took over without flows is told them though the former one still
// believes that it is active; its own stand, and the former one's are not removed.
func TestFlowsAreToldBack(t *testing.T) {
	late(t, func(r *rig, a, b *node) {
		if b.cluster().Whole {
			t.Error("it seems whole at once")
		}
		r.net.sever(a.addr, b.addr, false)
		settle(10 * time.Second)
		if got := b.cluster(); !got.Whole || !b.saw(EventTold) {
			t.Errorf("it is not whole: %+v", got)
		}
		if b.table.len() != 1001 || b.table.content()[key(5)].Backend != flow(5, 6).Backend {
			t.Errorf("it has %d flows, %v of them", b.table.len(), b.table.content()[key(5)])
		}
		if a.table.len() != 1000 {
			t.Errorf("the former one has %d flows", a.table.len())
		}
		r.role(a, false, 2)
		settle(2 * time.Second)
		r.same(a, b)
		if !a.sync.Synced("edge") {
			t.Error("the former one is not synced")
		}
	})
}

// Where nobody is there who could tell, it counts as whole after a time, and asks all
// the same when somebody comes.
func TestNobodyTells(t *testing.T) {
	late(t, func(r *rig, a, b *node) {
		settle(askTime - time.Second)
		if b.cluster().Whole {
			t.Error("it is whole too soon")
		}
		settle(2 * time.Second)
		if !b.cluster().Whole {
			t.Error("it never is")
		}
		r.role(a, false, 2)
		r.net.sever(a.addr, b.addr, false)
		settle(10 * time.Second)
		if b.table.len() != 1001 {
			t.Errorf("it has %d flows", b.table.len())
		}
		r.same(a, b)
	})
}

// A role that was given up in order leaves nothing to tell, and loses nothing that
// changed just before.
func TestNothingToTellAfterAnOrder(t *testing.T) {
	pair(t, func(r *rig, a, b *node) {
		a.put(flows(0, 100)...)
		settle(time.Second)
		a.put(flow(500, 1))
		r.role(a, false, 1)
		settle(2 * flushEach)
		r.role(b, true, 2)
		if !b.cluster().Whole || b.table.len() != 101 {
			t.Errorf("%d flows, %+v", b.table.len(), b.cluster())
		}
		settle(2 * time.Second)
		if b.saw(EventTold) {
			t.Error("it was told flows")
		}
		r.same(a, b)
	})
}

// stranger is a connection of a's name to b that says what the test wants.
type stranger struct {
	t    *testing.T
	conn *seal.Conn
	seq  uint64
}

func (r *rig) stranger(a, b *node, hello []byte) *stranger {
	r.t.Helper()
	a.stop()
	a.stop = func() {}
	conn, err := seal.Dial(dialAs(r, a.addr, b), testKey, "gw-a", "gw-b")
	if err != nil {
		r.t.Fatal(err)
	}
	if err := conn.WriteRecord(hello); err != nil {
		r.t.Fatal(err)
	}
	go drain(conn)
	return &stranger{r.t, conn, 1}
}

func drain(c *seal.Conn) {
	for {
		if _, err := c.ReadRecord(); err != nil {
			return
		}
	}
}

func (s *stranger) say(flows []Flow, index uint16, messages ...wire.Message) {
	s.t.Helper()
	var rec wire.Record
	s.seq++
	rec.Reset(s.seq)
	for _, m := range messages {
		rec.Add(m)
		if _, begins := m.(wire.Begin); begins {
			rec.AddFlows(index, wire.OriginSnapshot, flows)
		}
	}
	if err := s.conn.WriteRecord(rec.Bytes()); err != nil {
		s.t.Fatal(err)
	}
	settle(100 * time.Millisecond)
}

func greeting() []byte {
	var rec wire.Record
	rec.Reset(1)
	rec.Add(wire.Hello{Tells: true})
	return rec.Bytes()
}

// Only whoever is asked may tell, once, for VIPs of the cluster, and touches nothing
// that is here.
func TestAPeerThatLies(t *testing.T) {
	whole := func(term uint64) wire.Tell {
		return wire.Tell{Index: 1, Term: term, Has: wire.Holding{To: 1}, Name: "edge"}
	}
	snapshot := func(tell wire.Tell) []wire.Message {
		return []wire.Message{tell, wire.Begin{Index: 1}, wire.End{Index: 1}}
	}
	t.Run("to who is whole", func(t *testing.T) {
		pair(t, func(r *rig, a, b *node) {
			settle(time.Second)
			r.role(b, true, 2)
			s := r.stranger(a, b, greeting())
			s.say(flows(0, 5), 1, snapshot(whole(2))...)
			if b.table.len() != 0 {
				t.Errorf("%d flows were taken", b.table.len())
			}
		})
	})
	late(t, func(r *rig, a, b *node) {
		r.net.sever(a.addr, b.addr, false)
		s := r.stranger(a, b, greeting())
		s.say(flows(0, 5), 1, snapshot(whole(1))...)
		s.say(flows(0, 5), 1, snapshot(whole(3))...)
		if b.table.len() != 2 {
			t.Errorf("flows told in another term were taken: %d", b.table.len())
		}
		foreign := flow(7, 1)
		foreign.Service = key(1).Client
		s.say([]Flow{foreign, flow(5, 3), flow(8, 1)}, 1, whole(2), wire.Begin{Index: 1})
		var rec wire.Record
		s.seq++
		rec.Reset(s.seq)
		rec.AddGone(1, []Key{key(2000), key(5)})
		if err := s.conn.WriteRecord(rec.Bytes()); err != nil {
			t.Fatal(err)
		}
		s.say(nil, 1, wire.End{Index: 1})
		content := b.table.content()
		if len(content) != 3 || content[key(5)].Backend != flow(5, 6).Backend {
			t.Errorf("the table is %v", content)
		}
		s.say(flows(20, 30), 1, snapshot(whole(2))...)
		if b.table.len() != 3 {
			t.Errorf("flows were taken twice: %d", b.table.len())
		}
	})
}

// A gateway of an earlier version greets in fewer words: it is asked nothing that it
// would have to answer, and its offers are whole.
func TestAPeerOfAnEarlierVersion(t *testing.T) {
	old := []byte{wire.Version, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1}
	late(t, func(r *rig, a, b *node) {
		r.net.sever(a.addr, b.addr, false)
		r.stranger(a, b, old)
		settle(time.Second)
		if got := b.cluster(); !b.receive(a).Connected || len(got.Asked) > 0 {
			t.Errorf("it is asked: %+v", got)
		}
		settle(askTime)
		if got := b.cluster(); !got.Whole || len(got.Asked) > 0 {
			t.Errorf("it is waited for: %+v", got)
		}
	})
	pair(t, func(r *rig, a, b *node) {
		settle(time.Second)
		b.table.put(flow(9, 1))
		s := r.stranger(a, b, old)
		s.say(flows(0, 5), 1, wire.Offer{Index: 1, Name: "edge", Term: 2}, wire.Begin{Index: 1}, wire.End{Index: 1})
		if b.table.len() != 5 {
			t.Errorf("the table has %d flows", b.table.len())
		}
	})
}
