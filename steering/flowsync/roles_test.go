package flowsync

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/steering/flowsync/wire"
)

// A gateway that was active and does not know better is told that its term is
// over, and stops; its table is replaced when it hears of it.
func TestAStaleTermIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "gw-a", "gw-b", "gw-c")
		a, b, c := r.nodes[0], r.nodes[1], r.nodes[2]
		for _, n := range r.nodes {
			r.start(n)
		}
		a.table.put(flow(1, 1))
		r.roles(0, 1)
		settle(time.Second)
		// b takes over; a does not hear of it, c by b's stream alone.
		b.table.put(flow(2, 2))
		r.role(b, true, 2)
		settle(time.Second)
		a.put(flow(1, 5), flow(3, 5))
		settle(time.Second)
		r.same(b, c)
		if got := c.sync.Status().Clusters[0]; got.Term != 2 || got.From != "gw-b" || !got.Synced {
			t.Errorf("%+v", got)
		}
		if got := a.send(c).Clusters; len(got) != 1 || got[0].Refused != wire.RefusedTerm.String() || got[0].Theirs != 2 {
			t.Errorf("the stale gateway says %+v", got)
		}
		if !a.saw(EventRefused) {
			t.Error("it did not say so")
		}
		told := a.send(c).Flows
		a.put(flow(4, 4))
		settle(time.Second)
		if a.send(c).Flows != told {
			t.Error("it goes on sending")
		}
		r.role(a, false, 2)
		settle(time.Second)
		r.same(b, a)
		if len(a.send(c).Clusters) != 0 || !a.saw(EventStopped) {
			t.Errorf("it did not stop: %+v", a.send(c))
		}
		if got := c.receive(a).Clusters; len(got) != 0 {
			t.Errorf("the other was not told: %+v", got)
		}
	})
}

// Of two that send in one term, the one whose flows are taken keeps its place
// until its connection is gone.
func TestOneSenderATerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "gw-a", "gw-b", "gw-c")
		a, b, c := r.nodes[0], r.nodes[1], r.nodes[2]
		for _, n := range r.nodes {
			r.start(n)
		}
		a.table.put(flow(1, 1))
		r.roles(0, 1)
		settle(time.Second)
		b.table.put(flow(2, 2))
		r.role(b, true, 1)
		settle(time.Second)
		r.same(a, c)
		if got := b.send(c).Clusters; len(got) != 1 || got[0].Refused != wire.RefusedHeld.String() {
			t.Errorf("%+v", got)
		}
		if got := b.send(a).Clusters; len(got) != 1 || got[0].Refused != wire.RefusedActive.String() {
			t.Errorf("%+v", got)
		}
		a.stop()
		a.stop = func() {}
		settle(time.Second)
		r.same(b, c)
	})
}

// Nothing is taken for VIPs of another cluster, nor for one that the settings
// do not have.
func TestAPeerWritesItsClustersOnly(t *testing.T) {
	pair(t, func(r *rig, a, b *node) {
		set := func(n *node, list ...Cluster) {
			t.Helper()
			for i := range list {
				list[i].Term, list[i].Gateways = 1, []string{"gw-a", "gw-b"}
			}
			if err := n.sync.SetClusters(list); err != nil {
				t.Fatal(err)
			}
		}
		// To a, both VIPs are of edge; to b, one is of a cluster it is active for.
		set(a, Cluster{Name: "edge", Active: true, VIPs: []netip.Addr{vip, other}}, Cluster{Name: "no", Active: true})
		set(b, Cluster{Name: "edge", VIPs: []netip.Addr{vip}}, Cluster{Name: "inner", Active: true, VIPs: []netip.Addr{other}})
		foreign := flow(1, 1)
		foreign.Service = netip.AddrPortFrom(other, 22)
		own := foreign
		own.Client = key(77).Client
		b.table.put(foreign, own)
		changed := foreign
		changed.Backend = flow(1, 2).Backend
		a.table.put(changed, flow(2, 2))
		settle(time.Second)
		content := b.table.content()
		if content[foreign.Key] != foreign || len(content) != 3 || content[own.Key] != own {
			t.Errorf("the table is %v", content)
		}
		a.drop(foreign.Key)
		settle(time.Second)
		if b.table.len() != 3 {
			t.Error("a flow of another cluster was removed")
		}
		if got := b.receive(a).Clusters; got[0].Skipped[SkipVIP] == 0 || got[1].Refused != wire.RefusedUnknown.String() {
			t.Errorf("%+v", got)
		}
	})
}

// When SetClusters returns, nothing of another gateway is imported any more.
func TestTakingOverEndsImports(t *testing.T) {
	pair(t, func(r *rig, a, b *node) {
		a.table.put(flows(0, 100)...)
		settle(time.Second)
		a.put(flows(200, 300)...)
		time.Sleep(flushEach) // it is on its way
		r.role(b, true, 2)
		before := b.table.content()
		a.put(flows(300, 400)...)
		settle(time.Second)
		if after := b.table.content(); len(after) != len(before) {
			t.Errorf("%d flows became %d", len(before), len(after))
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{Self: "gw-a", Key: testKey, Table: newTable()}
	peer := Peer{Name: "gw-b", Addr: netip.MustParseAddr("169.254.1.1"), Dial: newNet().dial(vip, other)}
	for name, change := range map[string]func(*Options){
		"name of this node": func(o *Options) { o.Self = "" },
		"flow table":        func(o *Options) { o.Table = nil },
		"key":               func(o *Options) { o.Key = [32]byte{} },
		"no name":           func(o *Options) { o.Peers[0].Name = "" },
		"named twice":       func(o *Options) { o.Peers[0].Name = "gw-a" },
		"address":           func(o *Options) { o.Peers[0].Addr = netip.Addr{} },
		"dialled":           func(o *Options) { o.Peers[0].Dial = nil },
		"of its own":        func(o *Options) { o.Peers = append(o.Peers, Peer{Name: "gw-c", Addr: peer.Addr, Dial: peer.Dial}) },
	} {
		o := good
		o.Peers = []Peer{peer}
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A gateway that connects is there: nobody waits out the pause of earlier attempts.
func TestThePeerThatConnectsIsDialledAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "a", "b")
		a, b := r.nodes[0], r.nodes[1]
		r.start(a)
		r.role(a, true, 1)
		a.table.put(flow(1, 1))
		settle(time.Minute) // each attempt comes later than the one before
		r.start(b)
		r.role(b, false, 1)
		settle(300 * time.Millisecond)
		if !b.sync.Synced("edge") {
			t.Errorf("not synced: %+v", a.sync.Status().Peers[0].Send)
		}
		for _, n := range r.nodes {
			n.stop()
		}
	})
}
