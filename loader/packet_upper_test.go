package loader

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"sluice/internal/nettest/frame"
)

// testUpper: where the VIP is on a macvlan above one of our interfaces, packets to
// the virtual MAC are steered, and answers leave by the parent though the routing
// table names the macvlan.
func testUpper(t *testing.T, s stand) {
	virtual := net.HardwareAddr{0, 0, 0x5e, 0, 1, 51}
	upper := s.addMacvlan(t, "vip0", virtual)
	beyond := netip.MustParsePrefix("203.0.113.0/24")
	router := s.router
	if s.vip.Is6() {
		virtual[4], beyond, router = 2, netip.MustParsePrefix("2001:db8:cb00::/48"), addr("fe80::254")
	}
	mustRig(t, s.ns.AddAddr("vip0", netip.PrefixFrom(s.vip, s.vip.BitLen())))
	mustRig(t, s.ns.Settled(t.Context()))
	s.addNeighbour(t, upper, router, routerMAC)
	mustRig(t, s.ns.Netlink().RouteAdd(&netlink.Route{
		LinkIndex: upper.index, Gw: router.AsSlice(), Flags: int(netlink.FLAG_ONLINK),
		Dst: &net.IPNet{IP: beyond.Addr().AsSlice(), Mask: net.CIDRMask(beyond.Bits(), beyond.Addr().BitLen())},
	}))
	c := s.talkOf(t, withPort(beyond.Addr().Next(), s.nextClient().Port()))
	toVirtual := func(f *frame.Frame) { withMSS(f); f.DstMAC = virtual }
	steps := handshake()
	steps[0].tweak = toVirtual
	set := func(carriers map[int]int) {
		t.Helper()
		var err error
		s.inside(func() { err = s.d.SetUpper(carriers) })
		mustRig(t, err)
	}
	set(map[int]int{upper.index: s.ext.index})
	c.play(t, steps)
	c.both(t, step{tweak: func(f *frame.Frame) { f.DstMAC = virtual }}, step{})
	if have := hopOf(c.back(t)) & 0xffff; have != uint32(hopRouter) {
		t.Errorf("the flow remembers next hop %d, want that of the parent, %d", have, hopRouter)
	}
	c.both(t, step{}, step{})
	set(nil)
	c.both(t, step{}, step{does: silent, why: "egress"})
	if err := s.d.SetUpper(map[int]int{s.ext.index: s.ext.index}); err == nil {
		t.Error("an interface lies above itself")
	}
}

// addMacvlan puts a macvlan above ext0 for as long as a case runs.
func (r *rig) addMacvlan(t *testing.T, name string, mac net.HardwareAddr) iface {
	t.Helper()
	link := &netlink.Macvlan{LinkAttrs: netlink.LinkAttrs{Name: name, ParentIndex: r.ext.index, HardwareAddr: mac}, Mode: netlink.MACVLAN_MODE_PRIVATE}
	mustRig(t, r.ns.Netlink().LinkAdd(link))
	t.Cleanup(func() { mustRig(t, r.ns.Netlink().LinkDel(link)) })
	mustRig(t, r.ns.Up(name))
	index, err := r.ns.Index(name)
	mustRig(t, err)
	return iface{name: name, index: index, mac: mac}
}
