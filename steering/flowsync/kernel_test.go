package flowsync

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/internal/nettest"
	"sluice/steering/flowsync/link"
)

const syncPort = 8021

// real is a gateway in a namespace, with sockets of the kernel.
type real struct {
	*node
	ns *nettest.Namespace
}

// realPair is two gateways joined by a heartbeat link; the first is active.
func realPair(t *testing.T, tables [2]Table, tune func(*Options)) [2]*real {
	t.Helper()
	pair := [2]*real{}
	for i, name := range []string{"gw-a", "gw-b"} {
		pair[i] = &real{
			node: &node{name: name, addr: netip.AddrFrom4([4]byte{169, 254, 1, byte(i)})},
			ns:   nettest.ForTest(t),
		}
	}
	a, b := pair[0], pair[1]
	must(t, errors.Join(
		nettest.Veth(a.ns, "hb0", b.ns, "hb0"),
		a.ns.AddAddr("hb0", netip.PrefixFrom(a.addr, 31)), b.ns.AddAddr("hb0", netip.PrefixFrom(b.addr, 31))))
	for i, n := range pair {
		n.run(t, pair[1-i], tables[i], tune)
		must(t, n.sync.SetClusters([]Cluster{{
			Name: "edge", Active: i == 0, Term: 1, VIPs: []netip.Addr{vip}, Gateways: []string{pair[1-i].name},
		}}))
	}
	return pair
}

func (n *real) run(t *testing.T, peer *real, table Table, tune func(*Options)) {
	t.Helper()
	o := Options{
		Self: n.name, Key: testKey, Table: table, Log: slog.New(slog.DiscardHandler),
		Peers: []Peer{{Name: peer.name, Addr: peer.addr, Dial: func(ctx context.Context) (c net.Conn, err error) {
			err = n.ns.Do(func() (err error) {
				c, err = link.Dial(ctx, "hb0", n.addr, netip.AddrPortFrom(peer.addr, syncPort))
				return err
			})
			return c, err
		}}},
		Listen: []Listen{func(ctx context.Context) (l net.Listener, err error) {
			err = n.ns.Do(func() (err error) {
				l, err = link.Listen(ctx, "hb0", netip.AddrPortFrom(n.addr, syncPort))
				return err
			})
			return l, err
		}},
	}
	if tune != nil {
		tune(&o)
	}
	s, err := New(o)
	must(t, err)
	n.sync = s
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually fails the test unless cond becomes true.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// lose has a gateway lose one in five of the frames it receives.
func (n *real) lose(t *testing.T) {
	t.Helper()
	nft, err := nettest.FindProgram("nft")
	must(t, err)
	cmd := n.ns.Command(t.Context(), nft, "-f", "-")
	cmd.Stdin = strings.NewReader(`table netdev loss {
	chain in {
		type filter hook ingress device "hb0" priority 0;
		numgen random mod 5 == 0 counter drop
	}
}
`)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
}

// Over a link that loses a fifth of all frames, and is cut twice, for a moment
// and until the connection breaks, the copy becomes what the table is.
func TestALossyLinkThatIsCut(t *testing.T) {
	nettest.Require(t, nettest.Program("nft"))
	tables := [2]*fakeTable{newTable(), newTable()}
	pair := realPair(t, [2]Table{tables[0], tables[1]}, nil)
	a, b := pair[0], pair[1]
	a.table, b.table = tables[0], tables[1]
	a.lose(t)
	b.lose(t)
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 3 {
		for range 2000 {
			if n := rng.IntN(3000); rng.IntN(3) == 0 {
				a.drop(key(n))
			} else {
				a.put(flow(n, rng.IntN(7)))
			}
		}
		eventually(t, "the tables become equal", func() bool {
			return b.sync.Synced("edge") && maps.Equal(a.table.content(), b.table.content())
		})
		if round == 2 {
			break
		}
		must(t, a.ns.Down("hb0"))
		// The first time the connection outlives it.
		eventually(t, "the loss of the link is seen", func() bool {
			return !b.sync.Synced("edge") && (round == 0 || !a.send(b.node).Connected)
		})
		a.put(flow(5000+round, 1))
		must(t, a.ns.Up("hb0"))
	}
	if n := a.send(b.node).Connects; n < 2 {
		t.Errorf("there were %d connections", n)
	}
}

// hugeTable makes its flows up; it keeps nothing but what it was told of one.
type hugeTable struct {
	flows    int
	imported chan Flow
	// slow holds every import up until it is closed.
	slow chan struct{}
}

// special is the flow that changes.
const special = 1 << 23

func (h *hugeTable) Each(ctx context.Context, visit func([]Flow) error) error {
	var batch []Flow
	for from := 0; from < h.flows; from += 1024 {
		batch = append(batch[:0], flows(from, min(from+1024, h.flows))...)
		if err := errors.Join(ctx.Err(), visit(batch)); err != nil {
			return err
		}
	}
	return nil
}

func (h *hugeTable) Lookup(keys []Key) ([]Flow, error) { return []Flow{flow(special, 1)}, nil }

func (h *hugeTable) Import(flows []Flow) (Result, error) {
	<-h.slow
	for _, f := range flows {
		if f.Key == key(special) {
			h.imported <- f
		}
	}
	return Result{Imported: len(flows)}, nil
}

func (h *hugeTable) Remove([]Key) error { return nil }

// A change does not wait for the end of a snapshot, and a peer that imports
// slowly is not sent more than it can be waiting for.
func TestAMillionFlows(t *testing.T) {
	const many = 1 << 20
	far := &hugeTable{imported: make(chan Flow, 10), slow: make(chan struct{})}
	pair := realPair(t, [2]Table{&hugeTable{flows: many}, far}, func(o *Options) { o.SnapshotRate = 1 << 30 })
	a, b := pair[0], pair[1]
	snapshot := func() ReceiveCluster {
		if c := b.receive(a.node).Clusters; len(c) > 0 {
			return c[0]
		}
		return ReceiveCluster{}
	}
	eventually(t, "the first records wait", func() bool { return a.send(b.node).Lag > time.Second })
	if n := a.send(b.node).Clusters[0].Sent; n > (window+1)*1024 {
		t.Errorf("%d flows were sent to a peer that imports none", n)
	}
	close(far.slow)
	eventually(t, "the snapshot begins", func() bool { return snapshot().Flows > 0 })
	began := time.Now()
	a.sync.Changed(key(special))
	<-far.imported
	if c := snapshot(); c.Applied || c.Flows >= many {
		t.Errorf("the change came after the snapshot: %+v", c)
	}
	t.Logf("the change came after %v, with %d flows of the snapshot", time.Since(began), snapshot().Flows)
	eventually(t, "the snapshot ends", func() bool { return snapshot().Applied })
	t.Logf("the snapshot took %v", time.Since(began))
	if c := snapshot(); c.Flows != many+1 {
		t.Errorf("it named %d flows", c.Flows)
	}
}
