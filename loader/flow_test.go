package loader_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"sluice/loader"
)

// tick is the unit of the programs' clock.
const tick = time.Duration(1 << 30)

// coarse is how far the clock that ticks are counted by may be behind.
const coarse = 100 * time.Millisecond

func monotonic(t *testing.T) time.Duration {
	t.Helper()
	var ts unix.Timespec
	must(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts))
	return time.Duration(ts.Nano())
}

// scan is every flow by its client.
func scan(t *testing.T, dp *loader.Dataplane) map[netip.AddrPort]loader.Flow {
	t.Helper()
	out := map[netip.AddrPort]loader.Flow{}
	must(t, dp.Scan(t.Context(), func(f loader.Flow) bool {
		if _, twice := out[f.Client]; twice {
			t.Errorf("the flow of %s was visited twice", f.Client)
		}
		out[f.Client] = f
		return true
	}))
	return out
}

func find(t *testing.T, dp *loader.Dataplane, c netip.AddrPort) (loader.Flow, bool) {
	t.Helper()
	f, ok, err := dp.Find(testService, c)
	must(t, err)
	return f, ok
}

// byValue compares addresses, whose fields cmp does not see.
var byValue = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})

// Scan and Find see what the sockets say, in every shape.
func TestFlowsAsTheyAre(t *testing.T) {
	t.Parallel()
	for name, s := range shapes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, s, func(p *plan) { p.held = true })
			start := monotonic(t)
			want := map[netip.AddrPort]loader.Flow{}
			for range 6 {
				c, label := g.dial(t)
				far := <-g.accepted
				f := loader.Flow{
					Client: client(c), Service: testService,
					Member: loader.MemberID(label[1] - '0'), State: loader.FlowYoung,
				}
				if s.Mode == loader.ModeNAT {
					f.State = loader.FlowEstablished
				}
				if from := netip.MustParseAddrPort(far.RemoteAddr().String()); from != f.Client {
					f.Source = from
				}
				want[f.Client] = f
			}
			got := scan(t, g.dp)
			place := cmpopts.IgnoreFields(loader.Flow{}, "Line", "Word", "Opened", "Seen")
			if diff := cmp.Diff(want, got, place, byValue); diff != "" {
				t.Errorf("flows differ from what the sockets say (-want +got):\n%s", diff)
			}
			for who, f := range got {
				if f.Opened < start-tick-coarse || f.Seen < f.Opened || f.Seen > monotonic(t) {
					t.Errorf("flow opened at %s, seen at %s; the test began at %s", f.Opened, f.Seen, start)
				}
				found, ok := find(t, g.dp, who)
				if diff := cmp.Diff(f, found, byValue, cmpopts.IgnoreFields(loader.Flow{}, "Seen")); !ok || diff != "" {
					t.Errorf("Find differs from Scan (%v, -scan +find):\n%s", ok, diff)
				}
			}
			stranger := netip.AddrPortFrom(g.ClientAddr.Like(s.Listen.Addr()), 1)
			if f, ok := find(t, g.dp, stranger); ok {
				t.Errorf("found %+v for a client that never came", f)
			}
			if _, ok, err := g.dp.Find(99, stranger); ok || err != nil {
				t.Errorf("found a flow of a service that is not there (%v)", err)
			}
		})
	}
}

func TestScanStops(t *testing.T) {
	t.Parallel()
	g := newGateway(t, shapes()["dsr v4"])
	for range 3 {
		g.dial(t)
	}
	visits := 0
	must(t, g.dp.Scan(t.Context(), func(loader.Flow) bool { visits++; return false }))
	if visits != 1 {
		t.Errorf("visited %d flows after the first said stop", visits)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.dp.Scan(ctx, func(loader.Flow) bool { visits++; return true }); !errors.Is(err, context.Canceled) || visits != 1 {
		t.Errorf("a cancelled scan visited %d flows more and returned %v", visits-1, err)
	}
	if _, err := g.dp.Expire(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled pass returned %v", err)
	}
}

// The ring entry that FlowHash names is the one the program looks at.
func TestFlowHashIsTheProgramsOwn(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"hide v4", "dsr v6"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, shapes()[name])
			ring, err := g.dp.Ring(testService)
			must(t, err)
			for i := range loader.RingEntries {
				ring.Set(i, 0)
			}
			host := g.ClientAddr.Like(g.listen.Addr())
			for port := 40000; port < 40010; port++ {
				entry := g.dp.FlowHash(netip.AddrPortFrom(host, uint16(port)), g.service)
				member := loader.MemberID(port%3 + 1)
				ring.Set(entry, member)
				_, label := g.dialFrom(t, port)
				if want := loader.MemberID(label[1] - '0'); member != want {
					t.Errorf("port %d reached %s, its ring entry %d names member %d", port, label, entry, member)
				}
				ring.Set(entry, 0)
				if c, err := g.tryDial(t.Context(), port+100); err == nil {
					c.Close()
					t.Errorf("port %d was served by an empty ring", port+100)
				}
			}
		})
	}
}
