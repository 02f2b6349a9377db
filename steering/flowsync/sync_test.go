package flowsync

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sluice/steering/flowsync/wire"
)

func TestSnapshotThenChanges(t *testing.T) {
	pair(t, func(r *rig, a, b *node) {
		a.table.put(flows(0, 3000)...)
		b.table.put(flow(9000, 1)) // an old table
		settle(time.Second)
		r.same(a, b)
		if !b.sync.Synced("edge") || !b.saw(EventSynced) {
			t.Errorf("not synced: %+v", b.sync.Status())
		}
		a.put(flow(5000, 2), flow(3, 5))
		a.drop(key(4))
		settle(2 * flushEach)
		r.same(a, b)
		if lag := a.send(b).Lag; lag > 2*flushEach {
			t.Errorf("lag is %v", lag)
		}
	})
}

// Ages travel, so that a copy expires when the flow does.
func TestAgesTravel(t *testing.T) {
	pair(t, func(r *rig, a, b *node) {
		f := flow(1, 1)
		f.Opened, f.Idle = 50*time.Hour, 20*time.Hour
		a.table.put(f)
		settle(time.Second)
		got, _ := b.table.find([]Key{f.Key})
		if len(got) != 1 || got[0].Opened-f.Opened-time.Second > time.Millisecond || got[0].Idle-f.Idle-time.Second > time.Millisecond {
			t.Errorf("imported %+v", got)
		}
	})
}

// Several changes between two flushes are one record, looked up once.
func TestChangesAreToldOnce(t *testing.T) {
	pair(t, func(r *rig, a, b *node) {
		settle(time.Second)
		before := a.table.lookups
		for i := range 100 {
			a.put(flow(1, i))
		}
		settle(5 * flushEach)
		r.same(a, b)
		if n := a.table.lookups - before; n != 1 {
			t.Errorf("looked up %d times", n)
		}
	})
}

// A flow is told once its PROXY header is closed, although no event says so.
func TestOpenHeadersWait(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprint("found by the snapshot: ", !late), func(t *testing.T) {
			pair(t, func(r *rig, a, b *node) {
				if late {
					settle(time.Second)
				}
				f := flow(1, 1)
				f.HeaderOpen = true
				a.put(f)
				settle(2 * time.Second)
				if b.table.len() != 0 {
					t.Fatal("it was told with an open header")
				}
				if lag := a.send(b).Lag; lag > 2*flushEach {
					t.Errorf("lag is %v", lag)
				}
				f.HeaderOpen = false
				a.table.put(f)
				settle(2 * flushEach)
				r.same(a, b)
				if b.table.len() != 1 {
					t.Error("it was not told")
				}
			})
		})
	}
}

// lateTable hands a batch over only after other things happened to its flows.
type lateTable struct {
	*fakeTable
	late func()
}

func (l lateTable) Each(ctx context.Context, visit func([]Flow) error) error {
	return l.fakeTable.Each(ctx, func(flows []Flow) error {
		l.late()
		return visit(flows)
	})
}

// What is told while a batch is read is newer than the batch.
func TestChangesWinOverASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "gw-a", "gw-b")
		a, b := r.nodes[0], r.nodes[1]
		a.table.put(flow(1, 1), flow(2, 1))
		r.tune = func(o *Options) {
			if o.Self == "gw-a" {
				o.Table = lateTable{a.table, func() {
					a.put(flow(1, 2))
					a.drop(key(2))
					time.Sleep(5 * flushEach)
				}}
			}
		}
		r.start(a)
		r.start(b)
		r.roles(0, 1)
		settle(2 * time.Second)
		r.same(a, b)
	})
}

// A copy of a flow that lives does not expire first; of one that is silent
// nothing need be told.
func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "gw-a", "gw-b")
		r.tune = func(o *Options) { o.Refresh = time.Minute }
		a, b := r.nodes[0], r.nodes[1]
		silent := flow(2, 1)
		silent.Idle = time.Hour
		a.table.put(flow(1, 1), silent)
		r.start(a)
		r.start(b)
		r.roles(0, 1)
		settle(50 * time.Second)
		a.table.put(flow(1, 1)) // a packet: nobody tells of it
		told := a.send(b).Flows
		settle(30 * time.Second)
		got, _ := b.table.find([]Key{key(1)})
		if len(got) != 1 || got[0].Idle > 31*time.Second {
			t.Errorf("the copy is %+v", got)
		}
		if n := a.send(b).Flows - told; n != 1 {
			t.Errorf("%d flows were told", n)
		}
	})
}

func TestOverflowMeansASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "gw-a", "gw-b")
		r.tune = func(o *Options) { o.MaxChanges = 100 }
		a, b := r.nodes[0], r.nodes[1]
		r.start(a)
		r.start(b)
		r.roles(0, 1)
		settle(time.Second)
		a.put(flows(0, 1000)...)
		settle(2 * time.Second)
		r.same(a, b)
		st := a.send(b)
		if st.Overflows == 0 || st.Snapshots < 2 || st.Connects != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// Changes that nobody told of come by the snapshot that follows.
func TestLostChanges(t *testing.T) {
	pair(t, func(r *rig, a, b *node) {
		a.table.put(flows(0, 10)...)
		settle(time.Second)
		a.table.put(flow(20, 1))
		a.table.drop(key(1))
		a.sync.Lost()
		time.Sleep(time.Millisecond)
		if a.send(b).Lag == 0 {
			t.Error("nothing seems to wait")
		}
		settle(time.Second)
		r.same(a, b)
		time.Sleep(flushEach / 2)
		if lag := a.send(b).Lag; lag != 0 {
			t.Errorf("lag is %v", lag)
		}
	})
}

// A peer that does not read holds up nobody, and little is kept for it.
func TestAStalledPeerHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "gw-a", "gw-b", "gw-c")
		r.tune = func(o *Options) { o.MaxChanges = 500 }
		a, b, c := r.nodes[0], r.nodes[1], r.nodes[2]
		for _, n := range r.nodes {
			r.start(n)
		}
		r.roles(0, 1)
		settle(time.Second)
		end := r.net.stall(b.addr)
		for i := range 30 {
			a.put(flows(i*200, i*200+200)...)
			settle(2 * flushEach)
			r.same(a, c)
			if n := a.send(b).Waiting; n > 500 {
				t.Fatalf("%d changes wait", n)
			}
		}
		if lag := a.send(b).Lag; lag < time.Second {
			t.Errorf("lag of the stalled peer is %v", lag)
		}
		if lag := a.send(c).Lag; lag > 2*flushEach {
			t.Errorf("lag of the other is %v", lag)
		}
		settle(dead)
		if a.send(b).Connected {
			t.Error("the stalled peer is still connected")
		}
		end()
		settle(10 * time.Second)
		r.same(a, b)
	})
}

// roomy takes all that is written and passes it on as it can.
type roomy struct {
	net.Conn
	queue chan []byte
}

func newRoomy(c net.Conn) net.Conn {
	r := &roomy{Conn: c, queue: make(chan []byte, 1<<16)}
	go func() {
		for p := range r.queue {
			if _, err := c.Write(p); err != nil {
				break
			}
		}
	}()
	return r
}

func (r *roomy) Write(p []byte) (int, error) {
	r.queue <- bytes.Clone(p)
	return len(p), nil
}

func (r *roomy) SetWriteDeadline(time.Time) error { return nil }
func (r *roomy) SetDeadline(t time.Time) error    { return r.SetReadDeadline(t) }

// A peer that is slow is not sent more of a snapshot than fits the window, so
// that a change never stands behind all of it.
func TestTheWindow(t *testing.T) {
	pair(t, func(r *rig, a, b *node) {
		r.roles(-1, 1)
		var queues []chan []byte
		r.net.between = func(c net.Conn) net.Conn {
			roomy := newRoomy(c).(*roomy)
			queues = append(queues, roomy.queue)
			return roomy
		}
		r.net.sever(a.addr, b.addr, false)
		settle(time.Second)
		end := r.net.stall(b.addr)
		a.table.put(flows(0, 60_000)...)
		r.roles(0, 1)
		settle(2 * time.Second)
		if n := a.send(b).Clusters[0].Sent; n == 0 || n > (window+1)*1024 {
			t.Errorf("%d flows were sent", n)
		}
		end()
		settle(2 * time.Second)
		r.same(a, b)
		a.stop()
		a.stop = func() {}
		b.stop()
		b.stop = func() {}
		for _, q := range queues {
			close(q)
		}
	})
}

// A service that is not known here is asked for again once the settings change.
func TestSettingsThatDiffer(t *testing.T) {
	pair(t, func(r *rig, a, b *node) {
		b.table.services = map[netip.AddrPort]bool{}
		a.table.put(flows(0, 10)...)
		foreign := flow(1, 1)
		foreign.Service = netip.AddrPortFrom(other, 22)
		a.table.put(foreign) // of no cluster
		settle(time.Second)
		got := b.receive(a).Clusters
		if len(got) != 1 || got[0].Skipped[SkipService] != 10 || !got[0].Applied {
			t.Errorf("%+v", got)
		}
		b.table.mu.Lock()
		b.table.services = nil
		b.table.mu.Unlock()
		b.sync.SettingsChanged()
		settle(time.Second)
		a.drop(foreign.Key)
		r.same(a, b)
		if got := b.receive(a).Clusters[0]; len(got.Skipped) != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// Silence ends being synced, though the connection is still there.
func TestLag(t *testing.T) {
	pair(t, func(r *rig, a, b *node) {
		a.table.put(flow(1, 1))
		settle(time.Second)
		if !b.sync.Synced("edge") {
			t.Fatal("not synced")
		}
		end := r.net.stall(b.addr)
		a.put(flow(2, 1))
		settle(2 * syncedLag)
		st := b.sync.Status().Clusters[0]
		if st.Synced || b.sync.Synced("edge") || st.From != "gw-a" || !b.saw(EventUnsynced) {
			t.Errorf("still synced: %+v", st)
		}
		if lag := a.send(b).Lag; lag < syncedLag {
			t.Errorf("the sender sees a lag of %v", lag)
		}
		end()
		settle(time.Second)
		if !b.sync.Synced("edge") || a.send(b).Connects != 1 {
			t.Errorf("%+v", b.sync.Status())
		}
		r.same(a, b)
	})
}

// The copy outlives who sent it.
func TestTheCopyStays(t *testing.T) {
	pair(t, func(r *rig, a, b *node) {
		a.table.put(flow(1, 1))
		settle(time.Second)
		a.stop()
		a.stop = func() {}
		settle(time.Minute)
		if b.sync.Synced("edge") || b.table.len() != 1 {
			t.Errorf("%d flows, %+v", b.table.len(), b.sync.Status())
		}
	})
}

func TestNobodyActive(t *testing.T) {
	pair(t, func(r *rig, a, b *node) {
		r.roles(-1, 1)
		a.table.put(flow(1, 1))
		settle(time.Second)
		if b.table.len() != 0 || b.sync.Synced("edge") || a.sync.Synced("edge") {
			t.Errorf("%+v", b.sync.Status())
		}
	})
}

func TestClustersAreChecked(t *testing.T) {
	pair(t, func(r *rig, a, b *node) {
		for name, list := range map[string][]Cluster{
			"no name":    {{}},
			"two names":  {{Name: "x"}, {Name: "x"}},
			"one VIP":    {{Name: "x", VIPs: []netip.Addr{vip}}, {Name: "y", VIPs: []netip.Addr{vip}}},
			"long name":  {{Name: string(make([]byte, wire.MaxName+1))}},
			"a thousand": slices.Repeat([]Cluster{{Name: "x"}}, 1000),
		} {
			if err := a.sync.SetClusters(list); err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
		a.table.put(flow(1, 1))
		settle(time.Second)
		r.same(a, b) // the former list holds
	})
}
