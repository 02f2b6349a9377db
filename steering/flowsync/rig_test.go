package flowsync

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/steering/flowsync/wire"
)

var testKey = [32]byte{1, 2, 3}

var (
	vip   = netip.MustParseAddr("192.0.2.3")
	other = netip.MustParseAddr("192.0.2.4")
)

// node is a gateway in a rig.
type node struct {
	name  string
	addr  netip.Addr
	table *fakeTable
	sync  *Sync
	stop  func()

	mu     sync.Mutex
	events []Event
}

// rig is some gateways of one cluster "edge" on a fake network.
type rig struct {
	t     *testing.T
	net   *fakeNet
	nodes []*node
	tune  func(*Options)
}

func newRig(t *testing.T, names ...string) *rig {
	r := &rig{t: t, net: newNet()}
	for i, name := range names {
		r.nodes = append(r.nodes, &node{name: name, addr: netip.AddrFrom4([4]byte{169, 254, 1, byte(i)}), table: newTable(), stop: func() {}})
	}
	t.Cleanup(func() {
		for _, n := range r.nodes {
			n.stop()
		}
	})
	return r
}

// start starts a node, or starts it again.
func (r *rig) start(n *node) {
	r.t.Helper()
	n.stop()
	o := Options{
		Self: n.name, Key: testKey, Table: n.table, Listen: []Listen{r.net.listen(n.addr)},
		Log: slog.New(slog.DiscardHandler),
		Notify: func(e Event) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.events = append(n.events, e)
		},
	}
	for _, p := range r.nodes {
		if p != n {
			o.Peers = append(o.Peers, Peer{Name: p.name, Addr: p.addr, Dial: r.net.dial(n.addr, p.addr)})
		}
	}
	if r.tune != nil {
		r.tune(&o)
	}
	s, err := New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	n.sync = s
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	n.stop = func() { cancel(); <-done }
}

// roles makes the node of that index active in a term, the others not.
func (r *rig) roles(active int, term uint64) {
	r.t.Helper()
	for i, n := range r.nodes {
		r.role(n, i == active, term)
	}
}

func (r *rig) role(n *node, active bool, term uint64) {
	r.t.Helper()
	var names []string
	for _, o := range r.nodes {
		if o != n {
			names = append(names, o.name)
		}
	}
	err := n.sync.SetClusters([]Cluster{{Name: "edge", Active: active, Term: term, VIPs: []netip.Addr{vip}, Gateways: names}})
	if err != nil {
		r.t.Fatal(err)
	}
}

// settle lets a while pass in the bubble.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// flow makes the n-th flow, with a backend.
func flow(n, backend int) Flow {
	return Flow{
		Key:     key(n),
		Backend: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(backend)}), 22),
		Source:  netip.AddrPortFrom(vip, uint16(1024+n%60000)),
		Mode:    wire.ModeNAT, State: wire.StateEstablished, Notes: wire.Header, ISN: uint32(n) + 1,
	}
}

func key(n int) Key {
	client := netip.AddrFrom4([4]byte{203, 0, byte(n >> 16), byte(n >> 8)})
	return Key{Service: netip.AddrPortFrom(vip, 22), Client: netip.AddrPortFrom(client, uint16(1024+n&0xff))}
}

// put stores flows at a node and tells of it.
func (n *node) put(flows ...Flow) {
	n.table.put(flows...)
	for _, f := range flows {
		n.sync.Changed(f.Key)
	}
}

func (n *node) drop(keys ...Key) {
	n.table.drop(keys...)
	n.sync.Changed(keys...)
}

func (r *rig) same(a, b *node) {
	r.t.Helper()
	one, two := a.table.content(), b.table.content()
	if maps.Equal(one, two) {
		return
	}
	diff := cmp.Diff(one, two, cmpopts.EquateComparable(Flow{}, Key{}))
	r.t.Fatalf("the table of %s (-) is not that of %s (+):\n%.2000s", a.name, b.name, diff)
}

// send is how a node sends to another.
func (n *node) send(to *node) SendStatus {
	for _, p := range n.sync.Status().Peers {
		if p.Name == to.name {
			return p.Send
		}
	}
	return SendStatus{}
}

func (n *node) receive(from *node) ReceiveStatus {
	for _, p := range n.sync.Status().Peers {
		if p.Name == from.name {
			return p.Receive
		}
	}
	return ReceiveStatus{}
}

func (n *node) saw(kind EventKind) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(n.events, func(e Event) bool { return e.Kind == kind })
}

// pair runs a test with two nodes of which the first is active in term 1.
func pair(t *testing.T, test func(r *rig, a, b *node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "gw-a", "gw-b")
		r.start(r.nodes[0])
		r.start(r.nodes[1])
		r.roles(0, 1)
		test(r, r.nodes[0], r.nodes[1])
	})
}

func flows(from, to int) []Flow {
	var all []Flow
	for n := from; n < to; n++ {
		all = append(all, flow(n, n%7))
	}
	return all
}
