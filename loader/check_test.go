package loader_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
	"sluice/internal/nettest/sshtest"
	"sluice/loader"
)

// The ends of a health-check veth, and the network of check addresses.
const (
	checkStack = "chk0"
	checkXDP   = "chk1"
)

var checkNet = netip.MustParsePrefix("198.18.0.0/16")

// checkLink makes the pair, and a way to check addresses over it that bears the
// node's own address towards backends.
func checkLink(t *testing.T, g *gateway) (index int, stack net.HardwareAddr) {
	t.Helper()
	must(t, g.GW.Do(func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: checkStack}, PeerName: checkXDP})
	}))
	for _, end := range []string{checkStack, checkXDP} {
		must(t, g.GW.Wirelike(end))
		must(t, g.GW.Up(end))
	}
	far, err := g.GW.MAC(checkXDP)
	must(t, err)
	stack, err = g.GW.MAC(checkStack)
	must(t, err)
	index, err = g.GW.Index(checkXDP)
	must(t, err)
	near, err := g.GW.Index(checkStack)
	must(t, err)
	gateway := net.IPv4(198, 18, 0, 1)
	must(t, g.GW.Netlink().NeighSet(&netlink.Neigh{LinkIndex: near, IP: gateway, HardwareAddr: far, State: unix.NUD_PERMANENT}))
	must(t, g.GW.Netlink().RouteAdd(&netlink.Route{
		LinkIndex: near, Gw: gateway, Flags: int(netlink.FLAG_ONLINK), Src: g.InsideAddr.V4.AsSlice(),
		Dst: &net.IPNet{IP: checkNet.Addr().AsSlice(), Mask: net.CIDRMask(checkNet.Bits(), 32)},
	}))
	return index, stack
}

// A check address stands for one member of a dsr service: what answers there is
// that backend, as the VIP, for as long as the address is put.
func TestChecks(t *testing.T) {
	t.Parallel()
	g := newGateway(t, shapes()["dsr v4"])
	index, stack := checkLink(t, g)
	attach := func() {
		t.Helper()
		// Both inside: an index means an interface of the caller's namespace.
		must(t, g.GW.Do(func() error {
			if err := g.dp.AttachCheck(checkXDP, checkStack); err != nil {
				return err
			}
			return g.dp.SetCheckLink(index, stack)
		}))
	}
	attach()
	check := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, 1, byte(i)}), testPort)
	}
	for i := range g.Backends {
		must(t, g.dp.PutCheck(check(i).Addr(), loader.MemberID(i+1)))
	}
	wantAll := func(when string) {
		t.Helper()
		for i, b := range g.Backends {
			c, err := g.GW.Dial(t.Context(), check(i))
			if err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			banner, err := sshtest.ReadBanner(c, patience)
			c.Close()
			if err != nil || banner != b.Label {
				t.Errorf("%s: the check of %s was answered by %q (%v)", when, b.Label, banner, err)
			}
		}
	}
	wantAll("at first")
	if flows := scan(t, g.dp); len(flows) != 0 {
		t.Errorf("checks left %d flows", len(flows))
	}

	// A new process attaches to the pair again.
	must(t, g.dp.Close())
	g.open(t)
	attach()
	attach()
	wantAll("after adoption")

	wantDeleted(t, g, check(0))
	foreignPair(t, g)
}

// wantDeleted takes a check address away.
func wantDeleted(t *testing.T, g *gateway, check netip.AddrPort) {
	t.Helper()
	must(t, g.dp.DeleteCheck(check.Addr()))
	must(t, g.dp.DeleteCheck(check.Addr()))
	// It is swallowed: nothing comes back that could be waited for.
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if c, err := g.GW.Dial(ctx, check); err == nil {
		c.Close()
		t.Error("a deleted check address is answered")
	}
}

// foreignPair has AttachCheck refused by somebody else's program on one end;
// the other end stays free.
func foreignPair(t *testing.T, g *gateway) {
	t.Helper()
	must(t, nettest.Veth(g.GW, "x0", g.Switch, "x0-far"))
	must(t, nettest.Veth(g.GW, "x1", g.Switch, "x1-far"))
	foreign(t, g.GW, "x1")
	err := g.GW.Do(func() error { return g.dp.AttachCheck("x0", "x1") })
	wantError(t, err, `"x1"`, "another XDP program")
	if p := program(t, g.GW, "x0"); p != 0 {
		t.Errorf("program %d is left on the end that was free", p)
	}
}
