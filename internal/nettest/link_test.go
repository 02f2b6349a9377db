package nettest

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// twoHosts joins two namespaces with 10.1.0.1 and 10.1.0.2 on their e0.
func twoHosts(t *testing.T) (a, b *Namespace) {
	t.Helper()
	a, b = ForTest(t), ForTest(t)
	if err := Veth(a, "e0", b, "e0"); err != nil {
		t.Fatal(err)
	}
	for n, addr := range map[*Namespace]string{a: "10.1.0.1/24", b: "10.1.0.2/24"} {
		if err := n.AddAddr("e0", netip.MustParsePrefix(addr)); err != nil {
			t.Fatal(err)
		}
		settle(t, n)
	}
	return a, b
}

func settle(t *testing.T, n *Namespace) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := n.Settled(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestVeth(t *testing.T) {
	a, b := twoHosts(t)
	s := ServeForTest(t, b, netip.MustParseAddrPort("10.1.0.2:0"), ServerOptions{Echo: true})
	conns, err := OpenConns(t.Context(), a, s.Addr(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conns.Close()
	if err := conns.Exchange(make([]byte, 1<<20), 10*time.Second); err != nil {
		t.Error(err)
	}
	macA, errA := a.MAC("e0")
	macB, errB := b.MAC("e0")
	if errA != nil || errB != nil || len(macA) != 6 || slices.Equal(macA, macB) {
		t.Errorf("the ends have the addresses %v (%v) and %v (%v)", macA, errA, macB, errB)
	}
	wantError(t, Veth(a, "e0", b, "e1"), `"e0"`, a.Name())
}

func TestLinkSettings(t *testing.T) {
	a, b := twoHosts(t)
	for _, n := range []*Namespace{a, b} {
		if err := n.SetMTU("e0", 3000); err != nil {
			t.Error(err)
		}
	}
	link, err := a.Netlink().LinkByName("e0")
	if err != nil {
		t.Fatal(err)
	}
	if got := link.Attrs().MTU; got != 3000 {
		t.Errorf("mtu is %d, want 3000", got)
	}
	if got, err := a.Index("e0"); err != nil || got != link.Attrs().Index {
		t.Errorf("index is %d (%v), want %d", got, err, link.Attrs().Index)
	}
	for verb, err := range map[string]error{
		"bring up": a.Up("nix"), "take down": a.Down("nix"), "set mtu": a.SetMTU("nix", 1500), "plug": a.Plug("nix", "e0"),
		"attach": a.AttachPass("nix"), "switch offloads off": a.Wirelike("nix"), "add 1.2.3.4/32": a.AddAddr("nix", netip.MustParsePrefix("1.2.3.4/32")),
	} {
		wantError(t, err, verb, a.Name())
	}
	_, err = a.MAC("nix")
	wantError(t, err, `"nix"`)
	_, err = a.Index("nix")
	wantError(t, err, `"nix"`)
}

func TestSettledNamesWhatIsNotReady(t *testing.T) {
	a, b := twoHosts(t)
	if err := b.Down("e0"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	eventually(t, "the carrier is lost", func() bool { return a.Settled(ctx) != nil })
	wantError(t, a.Settled(ctx), "e0", a.Name())
	if err := b.Up("e0"); err != nil {
		t.Fatal(err)
	}
	settle(t, a)
	settle(t, b)
}

func TestSettledAwaitsAddresses(t *testing.T) {
	a, _ := twoHosts(t)
	if err := a.SetSysctl("net/ipv6/conf/e0/accept_dad", "1"); err != nil {
		t.Fatal(err)
	}
	link, err := a.Netlink().LinkByName("e0")
	if err != nil {
		t.Fatal(err)
	}
	addr := &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix("2001:db8::1/64"))}
	if err := a.Netlink().AddrAdd(link, addr); err != nil {
		t.Fatal(err)
	}
	if waiting, err := a.unsettled(); err != nil || waiting != "2001:db8::1/64" {
		t.Errorf("it waits for %q (%v), want the tentative address", waiting, err)
	}
	settle(t, a)
	addrs, err := a.Netlink().AddrList(link, netlink.FAMILY_V6)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range addrs {
		if got.Flags&unix.IFA_F_TENTATIVE != 0 {
			t.Errorf("%s is tentative although the namespace has settled", got.IPNet)
		}
	}
}

func TestAddresses(t *testing.T) {
	a, _ := twoHosts(t)
	if err := a.SetSysctl("net/ipv6/conf/e0/accept_dad", "1"); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"10.2.0.1/32", "2001:db8::9/128", "2001:db8:1::1/64"} {
		prefix := netip.MustParsePrefix(p)
		if err := a.AddAddr("e0", prefix); err != nil {
			t.Fatal(err)
		}
		// No duplicate address detection holds it back, not even where it is on.
		l, err := a.Listen(netip.AddrPortFrom(prefix.Addr(), 0))
		if err != nil {
			t.Fatalf("listen right after adding %s: %v", p, err)
		}
		l.Close()
	}
	routes, err := a.Netlink().RouteListFiltered(netlink.FAMILY_V6, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if r.Dst != nil && r.Dst.String() == "2001:db8::9/128" {
			t.Errorf("the single address brought a route: %v", r)
		}
	}
	if err := a.DelAddr("e0", netip.MustParsePrefix("10.2.0.1/32")); err != nil {
		t.Error(err)
	}
	_, err = a.Listen(netip.MustParseAddrPort("10.2.0.1:0"))
	wantError(t, err, "10.2.0.1", a.Name())
	wantError(t, a.DelAddr("e0", netip.MustParsePrefix("10.2.0.1/32")), "take 10.2.0.1/32")
}

func TestRoutes(t *testing.T) {
	a, _ := twoHosts(t)
	via := func(dst string) string {
		t.Helper()
		routes, err := a.Netlink().RouteGet(netip.MustParseAddr(dst).AsSlice())
		if err != nil || len(routes) != 1 {
			return "nowhere"
		}
		return routes[0].Gw.String()
	}
	if got := via("198.51.100.1"); got != "nowhere" {
		t.Errorf("before any route it goes to %s", got)
	}
	if err := a.SetDefaultRoute(netip.MustParseAddr("10.1.0.2")); err != nil {
		t.Fatal(err)
	}
	dst := netip.MustParsePrefix("198.51.100.0/24")
	for _, router := range []string{"10.1.0.3", "10.1.0.4"} {
		if err := a.SetRoute(dst, netip.MustParseAddr(router)); err != nil {
			t.Fatal(err)
		}
		if got := via("198.51.100.1"); got != router {
			t.Errorf("it goes to %s, want %s", got, router)
		}
	}
	if got := via("203.0.113.1"); got != "10.1.0.2" {
		t.Errorf("what has no route of its own goes to %s, want the default", got)
	}
	if err := a.DelRoute(dst); err != nil {
		t.Fatal(err)
	}
	if got := via("198.51.100.1"); got != "10.1.0.2" {
		t.Errorf("after the removal it goes to %s, want the default", got)
	}
	wantError(t, a.DelRoute(dst), dst.String(), a.Name())
	wantError(t, a.SetRoute(dst, netip.MustParseAddr("172.16.0.1")), dst.String(), "172.16.0.1")
}

func TestBridge(t *testing.T) {
	middle, left, right := ForTest(t), ForTest(t), ForTest(t)
	if err := middle.Bridge("br"); err != nil {
		t.Fatal(err)
	}
	for i, n := range []*Namespace{left, right} {
		port := []string{"left", "right"}[i]
		if err := Veth(n, "e0", middle, port); err != nil {
			t.Fatal(err)
		}
		if err := middle.Plug("br", port); err != nil {
			t.Fatal(err)
		}
		addr := netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i + 1)}), 64)
		if err := n.AddAddr("e0", addr); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []*Namespace{left, right, middle} {
		settle(t, n)
	}
	s := ServeForTest(t, right, netip.MustParseAddrPort("[2001:db8::2]:22"), ServerOptions{Banner: "x"})
	conns, err := OpenConns(t.Context(), left, s.Addr(), 1)
	if err != nil {
		t.Fatal(err)
	}
	conns.Close()
	wantError(t, middle.Bridge("br"), `"br"`, middle.Name())
}
