package nexthop

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"sluice/internal/nettest"
	"sluice/loader"
)

// The loader offers what the resolver asks for.
var _ Dataplane = (*loader.Dataplane)(nil)

// lan is a gateway and two machines on one Ethernet, with both families. The
// machines can be routers to what lies behind them.
type lan struct {
	t     *testing.T
	hub   *nettest.Namespace
	gw    *nettest.Namespace
	a, b  *nettest.Namespace
	table *fakeTable
	r     *Resolver

	mu    sync.Mutex
	moves []string
}

// Addresses of the lan, gateway first.
var (
	lanA4, lanB4 = addr("10.0.0.11"), addr("10.0.0.12")
	lanA6, lanB6 = addr("fd00::11"), addr("fd00::12")
)

func newLAN(t *testing.T) *lan {
	t.Helper()
	t.Parallel() // they mostly wait for the kernel's timers
	l := &lan{t: t, table: newFakeTable(), hub: nettest.ForTest(t), gw: nettest.ForTest(t), a: nettest.ForTest(t), b: nettest.ForTest(t)}
	l.must(l.hub.Bridge("br0"))
	for i, n := range []*nettest.Namespace{l.gw, l.a, l.b} {
		port := fmt.Sprintf("port%d", i)
		l.must(nettest.Veth(l.hub, port, n, "eth0"))
		l.must(l.hub.Plug("br0", port))
		last := []int{1, 11, 12}[i]
		l.must(n.AddAddr("eth0", netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/24", last))))
		l.must(n.AddAddr("eth0", netip.MustParsePrefix(fmt.Sprintf("fd00::%d/64", last))))
	}
	// The kernel takes half a minute to give a neighbour up; a test has no time.
	for _, family := range []string{"ipv4", "ipv6"} {
		for name, value := range map[string]string{
			"base_reachable_time_ms": "300", "retrans_time_ms": "50", "delay_first_probe_time": "0",
			"interval_probe_time_ms": "100", "ucast_solicit": "1", "mcast_solicit": "2",
		} {
			l.must(l.gw.SetSysctl("net/"+family+"/neigh/eth0/"+name, value))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, n := range []*nettest.Namespace{l.hub, l.gw, l.a, l.b} {
		l.must(n.Settled(ctx))
	}
	l.open()
	return l
}

func (l *lan) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// open makes a resolver in the gateway and runs it for the rest of the test.
func (l *lan) open() {
	l.t.Helper()
	l.must(l.gw.Do(func() (err error) {
		l.r, err = New(l.table, Options{Moved: func(a netip.Addr, id loader.NextHopID) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.moves = append(l.moves, a.String())
			return nil
		}})
		return err
	}))
}

func (l *lan) run() {
	ctx, cancel := context.WithCancel(l.t.Context())
	done := make(chan error, 1)
	r := l.r
	go func() { done <- r.Run(ctx) }()
	l.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Errorf("Run: %v", err)
		}
		r.Close()
	})
}

// told returns the addresses whose id changed.
func (l *lan) told() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.moves)
}

// await waits until an address's status is as wanted.
func (l *lan) await(what string, a netip.Addr, ok func(Status) bool) Status {
	l.t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		s := statusOf(l.t, l.r, a)
		if ok(s) {
			if entry := l.table.entry(s.ID); entry.Ready != s.Ready {
				l.t.Errorf("%s: status says ready %v, the table %+v", what, s.Ready, entry)
			}
			return s
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("%s: not within 15 s; status is %+v", what, s)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (l *lan) mac(n *nettest.Namespace) string {
	l.t.Helper()
	hw, err := n.MAC("eth0")
	l.must(err)
	return hw.String()
}

// kernelNeighbour reads the gateway's entry, which the resolver did not write.
func (l *lan) kernelNeighbour(a netip.Addr) neighbour {
	l.t.Helper()
	k := &rtnetlink{handle: l.gw.Netlink()}
	all, err := k.neighbours()
	l.must(err)
	index, err := l.gw.Index("eth0")
	l.must(err)
	return all[key{index, a}]
}

func ready(s Status) bool { return s.Ready }

func to(hw string) func(Status) bool {
	return func(s Status) bool { return s.Ready && s.Destination.String() == hw }
}
