package nexthop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
	"sluice/loader"
)

func TestResolvesNeighbours(t *testing.T) {
	l := newLAN(t)
	l.run()
	l.must(l.gw.SetMTU("eth0", 1400))
	for _, at := range []struct {
		addr netip.Addr
		ns   *nettest.Namespace
	}{{lanA4, l.a}, {lanB4, l.b}, {lanA6, l.a}, {lanB6, l.b}} {
		mustAcquire(t, l.r, at.addr)
		s := l.await("resolve "+at.addr.String(), at.addr, func(s Status) bool { return s.Ready && s.MTU == 1400 })
		index, err := l.gw.Index("eth0")
		l.must(err)
		want := loader.NextHop{Interface: index, MTU: 1400, Ready: true}
		want.Source, err = net.ParseMAC(l.mac(l.gw))
		l.must(err)
		want.Destination, err = net.ParseMAC(l.mac(at.ns))
		l.must(err)
		if got := l.table.entry(s.ID); !same(got, want) {
			t.Errorf("%s: entry = %+v, want %+v", at.addr, got, want)
		}
		if s.Kept != KeptManaged || !l.kernelNeighbour(at.addr).managed {
			t.Errorf("%s: kept %q, kernel %+v; want it managed (kernel 5.16)", at.addr, s.Kept, l.kernelNeighbour(at.addr))
		}
		if s.Neighbour != at.addr || s.Interface != "eth0" || s.Carrier != "eth0" || s.Reason != "" {
			t.Errorf("%s: status = %+v", at.addr, s)
		}
	}
}

func TestUnmanage(t *testing.T) {
	l := newLAN(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.r.Run(ctx) }()
	mustAcquire(t, l.r, lanA6)
	l.await("resolve", lanA6, ready)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	l.r.Close()
	if !l.kernelNeighbour(lanA6).managed {
		t.Fatal("the neighbour lost its mark when the resolver ended")
	}
	l.must(l.gw.Do(func() error { return Unmanage(l.table) }))
	if n := l.kernelNeighbour(lanA6); n.managed || !n.valid() {
		t.Errorf("after Unmanage the neighbour is %+v, want it valid and not managed", n)
	}
}

func TestNeighbourChangesMAC(t *testing.T) {
	l := newLAN(t)
	l.run()
	for _, a := range []netip.Addr{lanA4, lanA6} {
		mustAcquire(t, l.r, a)
		l.await("resolve", a, to(l.mac(l.a)))
	}
	other := net.HardwareAddr{2, 0, 0, 0, 0xab, 0xcd}
	link, err := l.a.Netlink().LinkByName("eth0")
	l.must(err)
	l.must(l.a.Netlink().LinkSetHardwareAddr(link, other))
	for _, a := range []netip.Addr{lanA4, lanA6} {
		l.await("follow the new MAC of "+a.String(), a, to(other.String()))
	}
}

func TestNeighbourGoesAndComes(t *testing.T) {
	l := newLAN(t)
	l.run()
	hosts := map[netip.Addr]netip.Prefix{
		lanA4: netip.MustParsePrefix("10.0.0.11/24"), lanA6: netip.MustParsePrefix("fd00::11/64"),
	}
	ids := make(map[netip.Addr]loader.NextHopID)
	for a, prefix := range hosts {
		ids[a] = mustAcquire(t, l.r, a)
		l.await("resolve", a, ready)
		l.must(l.a.DelAddr("eth0", prefix))
	}
	for a := range hosts {
		l.await("notice that it is gone", a, func(s Status) bool {
			return !s.Ready && strings.Contains(s.Reason, "does not answer")
		})
	}
	for _, prefix := range hosts {
		l.must(l.a.AddAddr("eth0", prefix))
	}
	for a := range hosts {
		if s := l.await("notice that it is back", a, ready); s.ID != ids[a] {
			t.Errorf("%s came back under id %d, was %d", a, s.ID, ids[a])
		}
	}
}

func TestRouteMovesToAnotherRouter(t *testing.T) {
	l := newLAN(t)
	l.run()
	for _, way := range []struct {
		first, second netip.Addr
		prefix        string
		routerA       netip.Addr
		routerB       netip.Addr
	}{
		{addr("10.9.0.1"), addr("10.9.0.2"), "10.9.0.0/16", lanA4, lanB4},
		{addr("fd09::1"), addr("fd09::2"), "fd09::/32", lanA6, lanB6},
	} {
		mustAcquire(t, l.r, way.first)
		if s := statusOf(t, l.r, way.first); s.Ready || !strings.Contains(s.Reason, "no route") {
			t.Errorf("without a route: %+v", s)
		}
		l.must(l.gw.SetRoute(netip.MustParsePrefix(way.prefix), way.routerA))
		l.await("take the route", way.first, to(l.mac(l.a)))
		shared := mustAcquire(t, l.r, way.second)
		if s := statusOf(t, l.r, way.first); s.ID != shared || s.Neighbour != way.routerA {
			t.Errorf("two backends behind one router: %d and %+v", shared, s)
		}
		// One leaves for the other router, then both.
		l.must(l.gw.SetRoute(netip.PrefixFrom(way.second, way.second.BitLen()), way.routerB))
		s := l.await("follow the host route", way.second, to(l.mac(l.b)))
		if s.ID == shared {
			t.Errorf("the shared id %d went with one of its users", shared)
		}
		l.must(l.gw.SetRoute(netip.MustParsePrefix(way.prefix), way.routerB))
		l.await("follow the route", way.first, to(l.mac(l.b)))
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		moves := l.told()
		if len(moves) >= 4 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("told of %v, want each backend whose id changed", moves)
		}
	}
}

func TestLinkDownAndUp(t *testing.T) {
	l := newLAN(t)
	l.run()
	backends := []netip.Addr{lanA4, lanA6, addr("10.9.0.1")}
	l.must(l.gw.SetRoute(netip.MustParsePrefix("10.9.0.0/16"), lanA4))
	before := make(map[netip.Addr]loader.NextHopID)
	for _, a := range backends {
		before[a] = mustAcquire(t, l.r, a)
		l.await("resolve", a, ready)
	}
	l.must(l.gw.Down("eth0"))
	for _, a := range backends {
		l.await("notice the link", a, func(s Status) bool { return !s.Ready && s.Reason != "" })
	}
	l.must(l.gw.Up("eth0"))
	// The kernel dropped these with the link, for good.
	l.must(l.gw.AddAddr("eth0", netip.MustParsePrefix("fd00::1/64")))
	l.must(l.gw.SetRoute(netip.MustParsePrefix("10.9.0.0/16"), lanA4))
	for _, a := range backends {
		if s := l.await("resolve again", a, ready); s.ID != before[a] {
			t.Errorf("%s has id %d after the flap, was %d", a, s.ID, before[a])
		}
	}
	// The far end alone: no carrier here.
	l.must(l.hub.Down("port0"))
	l.await("notice the carrier", lanA4, func(s Status) bool { return strings.Contains(s.Reason, "down") })
	l.must(l.hub.Up("port0"))
	l.await("resolve again", lanA4, ready)
}

func TestOverVLAN(t *testing.T) {
	l := newLAN(t)
	l.run()
	for prefix, n := range map[string]*nettest.Namespace{"10.20.0.1/24": l.gw, "10.20.0.11/24": l.a} {
		parent, err := n.Netlink().LinkByName("eth0")
		l.must(err)
		err = n.Netlink().LinkAdd(&netlink.Vlan{
			LinkAttrs: netlink.LinkAttrs{Name: "eth0.20", ParentIndex: parent.Attrs().Index}, VlanId: 20,
		})
		if errors.Is(err, unix.EOPNOTSUPP) {
			t.Log("this kernel has no VLANs (8021q); TestDescend shows the same without it")
			return
		}
		l.must(err)
		l.must(n.Up("eth0.20"))
		l.must(n.AddAddr("eth0.20", netip.MustParsePrefix(prefix)))
	}
	mustAcquire(t, l.r, addr("10.20.0.11"))
	s := l.await("resolve over a VLAN", addr("10.20.0.11"), to(l.mac(l.a)))
	index, err := l.gw.Index("eth0")
	l.must(err)
	if e := l.table.entry(s.ID); e.VLAN != 20 || e.Interface != index || s.Interface != "eth0.20" || s.Carrier != "eth0" {
		t.Errorf("over a VLAN: entry %+v, status %+v", e, s)
	}
}

func TestOverMacvlan(t *testing.T) {
	l := newLAN(t)
	l.run()
	parent, err := l.gw.Netlink().LinkByName("eth0")
	l.must(err)
	own := net.HardwareAddr{0, 0, 0x5e, 0, 1, 51}
	l.must(l.gw.Netlink().LinkAdd(&netlink.Macvlan{
		LinkAttrs: netlink.LinkAttrs{Name: "vrrp51", ParentIndex: parent.Attrs().Index, HardwareAddr: own},
		Mode:      netlink.MACVLAN_MODE_BRIDGE,
	}))
	l.must(l.gw.Up("vrrp51"))
	l.must(l.gw.AddAddr("vrrp51", netip.MustParsePrefix("10.30.0.1/24")))
	l.must(l.a.AddAddr("eth0", netip.MustParsePrefix("10.30.0.11/24")))
	mustAcquire(t, l.r, addr("10.30.0.11"))
	s := l.await("resolve over a macvlan", addr("10.30.0.11"), to(l.mac(l.a)))
	if e := l.table.entry(s.ID); e.Interface != parent.Attrs().Index || e.Source.String() != own.String() || s.Interface != "vrrp51" {
		t.Errorf("over a macvlan: entry %+v, status %+v; want the parent with the macvlan's MAC", e, s)
	}
	l.must(l.gw.Down("eth0"))
	l.await("notice the parent's link", addr("10.30.0.11"), func(s Status) bool { return !s.Ready })
}

func TestKindsOfRoutes(t *testing.T) {
	l := newLAN(t)
	l.run()
	handle := l.gw.Netlink()
	special := func(prefix string, kind int) {
		_, dst, err := net.ParseCIDR(prefix)
		l.must(err)
		l.must(handle.RouteAdd(&netlink.Route{Dst: dst, Type: kind}))
	}
	special("10.51.0.0/24", unix.RTN_BLACKHOLE)
	special("10.52.0.0/24", unix.RTN_PROHIBIT)
	special("10.53.0.0/24", unix.RTN_UNREACHABLE)
	for a, reason := range map[string]string{
		"10.51.0.1": "blackhole", "10.52.0.1": "prohibits", "10.53.0.1": "unreachable", "10.54.0.1": "no route",
		"10.0.0.255": "not unicast", "fd54::1": "no route",
	} {
		mustAcquire(t, l.r, addr(a))
		if s := statusOf(t, l.r, addr(a)); s.Ready || !strings.Contains(s.Reason, reason) {
			t.Errorf("%s: %+v, want the reason to say %q", a, s, reason)
		}
	}
	for _, local := range []string{"10.0.0.1", "fd00::1", "127.0.0.1", "127.9.9.9", "::1", "::ffff:10.0.0.1"} {
		if _, err := l.r.Acquire(addr(local)); !errors.Is(err, ErrLocal) {
			t.Errorf("Acquire(%s) = %v, want ErrLocal", local, err)
		}
	}
	// A network behind a router that is known by its link-local address.
	eth0, err := l.a.Netlink().LinkByName("eth0")
	l.must(err)
	own, err := l.a.Netlink().AddrList(eth0, netlink.FAMILY_V6)
	l.must(err)
	for _, a := range own {
		if a.IP.IsLinkLocalUnicast() {
			eth0, err = handle.LinkByName("eth0")
			l.must(err)
			_, dst, err := net.ParseCIDR("fd77::/32")
			l.must(err)
			l.must(handle.RouteAdd(&netlink.Route{Dst: dst, LinkIndex: eth0.Attrs().Index, Gw: a.IP}))
		}
	}
	mustAcquire(t, l.r, addr("fd77::1"))
	if s := l.await("resolve behind a link-local router", addr("fd77::1"), to(l.mac(l.a))); !s.Neighbour.IsLinkLocalUnicast() {
		t.Errorf("neighbour = %s, want a link-local address", s.Neighbour)
	}
	// An IPv4 network behind an IPv6 router.
	_, dst, err := net.ParseCIDR("10.55.0.0/24")
	l.must(err)
	l.must(handle.RouteAdd(&netlink.Route{
		Dst: dst, LinkIndex: eth0.Attrs().Index,
		Via: &netlink.Via{AddrFamily: unix.AF_INET6, Addr: lanA6.AsSlice()},
	}))
	mustAcquire(t, l.r, addr("10.55.0.1"))
	if s := l.await("resolve behind an IPv6 router", addr("10.55.0.1"), to(l.mac(l.a))); s.Neighbour != lanA6 {
		t.Errorf("neighbour = %s, want %s", s.Neighbour, lanA6)
	}
}

func TestStaticNeighbourOfTheKernel(t *testing.T) {
	l := newLAN(t)
	l.r.Close()
	index, err := l.gw.Index("eth0")
	l.must(err)
	hw := net.HardwareAddr{2, 0, 0, 0, 0, 0x77}
	l.must(l.gw.Netlink().NeighSet(&netlink.Neigh{
		LinkIndex: index, Family: unix.AF_INET, State: netlink.NUD_PERMANENT, IP: lanA4.AsSlice(), HardwareAddr: hw,
	}))
	l.open()
	l.run()
	mustAcquire(t, l.r, lanA4)
	l.await("take the static entry", lanA4, func(s Status) bool {
		return s.Ready && s.Destination.String() == hw.String() && s.Kept == KeptStatic
	})
	if n := l.kernelNeighbour(lanA4); !n.static() {
		t.Errorf("the administrator's entry became %+v", n)
	}
}

func TestWantResolvesClients(t *testing.T) {
	l := newLAN(t)
	l.run()
	index, err := l.gw.Index("eth0")
	l.must(err)
	l.r.Want(lanB6, index)
	l.r.Want(addr("10.0.0.99"), index) // nobody
	deadline := time.Now().Add(10 * time.Second)
	for {
		lines := l.r.Snapshot()
		if len(lines) == 1 && lines[0].Addr == lanB6 && lines[0].Ready && lines[0].Wanted {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("snapshot is %+v, want the one client that answers", lines)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// The kernel drops events when nobody reads them. What they told must be found
// all the same.
func TestLostEvents(t *testing.T) {
	l := newLAN(t)
	l.must(l.gw.SetRoute(netip.MustParsePrefix("10.9.0.0/16"), lanA4))
	mustAcquire(t, l.r, addr("10.9.0.1"))
	l.must(l.r.source.(*watch).socket.SetReceiveBufferSize(4096, false))
	for i := range 100 {
		l.must(l.gw.SetRoute(netip.MustParsePrefix(fmt.Sprintf("10.100.%d.0/24", i)), lanA4))
	}
	l.must(l.gw.SetRoute(netip.MustParsePrefix("10.9.0.0/16"), lanB4))
	l.run()
	l.await("find the route that no event told of", addr("10.9.0.1"), to(l.mac(l.b)))
}
