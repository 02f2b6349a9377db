package nettest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
)

// received is how many packets came in over a link.
func received(t *testing.T, n *Namespace, link string) uint64 {
	t.Helper()
	l, err := n.Netlink().LinkByName(link)
	if err != nil {
		t.Fatal(err)
	}
	return l.Attrs().Statistics.RxPackets
}

func TestGatewayForwardsBothWays(t *testing.T) {
	g := GatewayForTest(t, GatewayOptions{})
	if len(g.Backends) != 3 || len(g.VIPs) != 2 || len(g.Namespaces()) != 6 {
		t.Fatalf("%d backends, %d VIPs, %d namespaces", len(g.Backends), len(g.VIPs), len(g.Namespaces()))
	}
	for _, b := range g.Backends {
		for _, a := range both(b.Addr) {
			s := ServeForTest(t, b.Namespace, netip.AddrPortFrom(a, 22), ServerOptions{Echo: true})
			forth, back := received(t, g.GW, OutsideLink), received(t, g.GW, InsideLink)
			const count, size = 3, 100_000
			conns, err := OpenConns(t.Context(), g.Client, s.Addr(), count)
			if err != nil {
				t.Fatal(err)
			}
			if err := conns.Exchange(make([]byte, size), 10*time.Second); err != nil {
				t.Error(err)
			}
			conns.Close()
			if s.AcceptedFrom(g.ClientAddr.Like(a)) != count {
				t.Errorf("%s accepted %d of %d from the client", a, s.AcceptedFrom(g.ClientAddr.Like(a)), count)
			}
			const least = count * size / 1500
			forth, back = received(t, g.GW, OutsideLink)-forth, received(t, g.GW, InsideLink)-back
			if forth < least || back < least {
				t.Errorf("the gateway saw %d packets in and %d back for %s, want at least %d each", forth, back, a, least)
			}
		}
	}
}

func TestGatewayHoldsTheVIPs(t *testing.T) {
	g := GatewayForTest(t, GatewayOptions{Backends: 1})
	for _, vip := range g.VIPs {
		s := ServeForTest(t, g.GW, netip.AddrPortFrom(vip, 22), ServerOptions{Banner: "x"})
		conns, err := OpenConns(t.Context(), g.Client, s.Addr(), 1)
		if err != nil {
			t.Error(err)
		}
		conns.Close()
		if g.VIP(vip) != vip {
			t.Errorf("VIP of the family of %s is %s", vip, g.VIP(vip))
		}
	}
}

// nextHop is where n sends packets to dst.
func nextHop(t *testing.T, n *Namespace, dst netip.Addr) string {
	t.Helper()
	routes, err := n.Netlink().RouteGet(dst.AsSlice())
	if err != nil {
		return err.Error()
	}
	if routes[0].Gw == nil {
		return "direct"
	}
	return routes[0].Gw.String()
}

func TestGatewayReturnRoutes(t *testing.T) {
	vip4, vip6 := netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("2001:db8:1::3")
	second := netip.MustParseAddr("192.0.2.4")
	tests := map[string]struct {
		options GatewayOptions
		want    map[string]string
	}{
		"through the gateway": {GatewayOptions{Backends: 1}, map[string]string{
			"192.0.2.100": "10.0.0.1", "192.0.2.3": "10.0.0.1",
			"2001:db8:1::100": "2001:db8:2::1", "2001:db8:1::3": "2001:db8:2::1",
		}},
		"direct": {GatewayOptions{Backends: 1, Direct: true}, map[string]string{
			"192.0.2.100": "10.0.0.254", "192.0.2.3": "10.0.0.1",
			"2001:db8:1::100": "2001:db8:2::254", "2001:db8:1::3": "2001:db8:2::1",
		}},
		"dsr beside nat": {
			GatewayOptions{Backends: 1, VIPs: []netip.Addr{vip4, second, vip6}, DSR: []netip.Addr{vip4, vip6}},
			map[string]string{
				"192.0.2.100": "10.0.0.254", "192.0.2.3": "direct", "192.0.2.4": "10.0.0.1",
				"2001:db8:1::100": "2001:db8:2::254", "2001:db8:1::3": "direct",
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := GatewayForTest(t, tt.options)
			got := make(map[string]string)
			for dst := range tt.want {
				got[dst] = nextHop(t, g.Backends[0].Namespace, netip.MustParseAddr(dst))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("next hops of the backend differ (-want +got):\n%s", diff)
			}
		})
	}
}

// What a dsr backend answers as the VIP reaches the client while the gateway is
// cut off.
func TestGatewayDSRRepliesPassTheGatewayBy(t *testing.T) {
	vips := []netip.Addr{netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("2001:db8:1::3")}
	g := GatewayForTest(t, GatewayOptions{DSR: vips})
	for _, link := range []string{InsideLink, OutsideLink} {
		if err := g.GW.Down(link); err != nil {
			t.Fatal(err)
		}
	}
	for _, vip := range vips {
		for _, b := range g.Backends {
			got, err := datagram(b.Namespace, vip, g.Client, g.ClientAddr.Like(vip))
			if err != nil || got != vip {
				t.Errorf("from %s the client got a datagram of %v (%v), want %s", b.Label, got, err, vip)
			}
		}
	}
}

// datagram sends one from an address of one namespace to one of another, and
// returns whom the receiver sees as its sender.
func datagram(from *Namespace, src netip.Addr, to *Namespace, dst netip.Addr) (netip.Addr, error) {
	var receiver *net.UDPConn
	err := to.Do(func() (err error) {
		receiver, err = net.ListenUDP("udp", &net.UDPAddr{IP: dst.AsSlice()})
		return err
	})
	if err != nil {
		return netip.Addr{}, err
	}
	defer receiver.Close()
	err = from.Do(func() error {
		conn, err := net.DialUDP("udp", &net.UDPAddr{IP: src.AsSlice()}, receiver.LocalAddr().(*net.UDPAddr))
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write([]byte("here"))
		return err
	})
	if err != nil {
		return netip.Addr{}, err
	}
	if err := receiver.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return netip.Addr{}, err
	}
	_, sender, err := receiver.ReadFromUDPAddrPort(make([]byte, 10))
	return sender.Addr().Unmap(), err
}

// A dsr backend keeps silent when somebody asks for the VIP, or it would take
// the traffic away from the gateway.
func TestGatewayDSRBackendsDoNotClaimTheVIP(t *testing.T) {
	vip := netip.MustParseAddr("192.0.2.3")
	g := GatewayForTest(t, GatewayOptions{Backends: 2, DSR: []netip.Addr{vip}})
	// The inside of the gateway answers for its own VIP; it is not asked here.
	if err := g.GW.Down(InsideLink); err != nil {
		t.Fatal(err)
	}
	link, err := g.Switch.Netlink().LinkByName(insideBridge)
	if err != nil {
		t.Fatal(err)
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(single(vip)), Scope: netlink.SCOPE_LINK}
	if err := g.Switch.Netlink().RouteAdd(route); err != nil {
		t.Fatal(err)
	}
	if err := g.Switch.SetSysctl("net/ipv4/neigh/"+insideBridge+"/retrans_time_ms", "20"); err != nil {
		t.Fatal(err)
	}
	_, err = g.Switch.Dial(t.Context(), netip.AddrPortFrom(vip, 22))
	wantError(t, err, "no route to host")
}

func TestGatewayNames(t *testing.T) {
	Require(t, Root, Namespaces, BPF)
	prefix := fmt.Sprintf("nettest-gw%d", os.Getpid())
	g, err := NewGateway(GatewayOptions{Name: prefix, Backends: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	names, err := Names(prefix)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{prefix + "-b1", prefix + "-b2", prefix + "-client", prefix + "-gw", prefix + "-switch"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("names differ (-want +got):\n%s", diff)
	}
	if _, err := NewGateway(GatewayOptions{Name: prefix, Backends: 1}); err == nil {
		t.Error("a second gateway of the same name was built")
	}
	if again, err := Names(prefix); err != nil || !cmp.Equal(again, names) {
		t.Errorf("after the failed attempt the names are %q (%v)", again, err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if left, err := Names(prefix); err != nil || len(left) != 0 {
		t.Errorf("after Close %q is left (%v)", left, err)
	}
	if _, err := os.Stat(registered(prefix + "-gw")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestGatewayOptionsRefused(t *testing.T) {
	foreign := netip.MustParseAddr("198.51.100.3")
	tests := map[string]struct {
		options GatewayOptions
		want    string
	}{
		"too many":      {GatewayOptions{Backends: 201}, "201"},
		"negative":      {GatewayOptions{Backends: -1}, "-1"},
		"foreign VIP":   {GatewayOptions{VIPs: []netip.Addr{foreign}}, "198.51.100.3"},
		"dsr elsewhere": {GatewayOptions{DSR: []netip.Addr{netip.MustParseAddr("192.0.2.9")}}, "192.0.2.9"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := NewGateway(tt.options)
			wantError(t, err, tt.want)
		})
	}
}

func TestAddressPlan(t *testing.T) {
	for number, want := range map[int]Pair{
		gatewayHost:                   {netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8:2::1")},
		backendHost:                   {netip.MustParseAddr("10.0.0.11"), netip.MustParseAddr("2001:db8:2::11")},
		backendHost + maxBackends - 1: {netip.MustParseAddr("10.0.0.210"), netip.MustParseAddr("2001:db8:2::210")},
	} {
		got := inside.pair(number)
		if got != want {
			t.Errorf("host %d is %v, want %v", number, got, want)
		}
		if got.Like(want.V6) != want.V6 || got.Like(want.V4) != want.V4 {
			t.Errorf("Like mixes the families of %v", got)
		}
	}
}
