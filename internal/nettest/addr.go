package nettest

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// AddAddr gives a link an address with the length of its network, without
// duplicate address detection. A single address (/32, /128), as a VIP is, brings
// no route with it.
func (n *Namespace) AddAddr(link string, prefix netip.Prefix) error {
	addr := &netlink.Addr{IPNet: ipNet(prefix)}
	if prefix.Addr().Is6() {
		addr.Flags |= unix.IFA_F_NODAD
	}
	if prefix.IsSingleIP() {
		addr.Flags |= unix.IFA_F_NOPREFIXROUTE
	}
	return n.onLink(link, "add "+prefix.String()+" to", func(l netlink.Link) error {
		return n.nl.AddrAdd(l, addr)
	})
}

// DelAddr takes an address from a link.
func (n *Namespace) DelAddr(link string, prefix netip.Prefix) error {
	return n.onLink(link, "take "+prefix.String()+" from", func(l netlink.Link) error {
		return n.nl.AddrDel(l, &netlink.Addr{IPNet: ipNet(prefix)})
	})
}

// SetRoute sends what goes to dst through the router via, instead of what way it
// took before. dst may be 0.0.0.0/0 or ::/0.
func (n *Namespace) SetRoute(dst netip.Prefix, via netip.Addr) error {
	err := n.nl.RouteReplace(&netlink.Route{Dst: ipNet(dst), Gw: via.AsSlice()})
	if err != nil {
		return fmt.Errorf("route %s via %s in namespace %q: %v", dst, via, n.name, err)
	}
	return nil
}

// SetDefaultRoute sends what no other route covers, of via's family, to via.
func (n *Namespace) SetDefaultRoute(via netip.Addr) error {
	return n.SetRoute(netip.PrefixFrom(zeroOf(via), 0), via)
}

// DelRoute removes the route to dst.
func (n *Namespace) DelRoute(dst netip.Prefix) error {
	if err := n.nl.RouteDel(&netlink.Route{Dst: ipNet(dst)}); err != nil {
		return fmt.Errorf("remove route %s in namespace %q: %v", dst, n.name, err)
	}
	return nil
}

// ipNet is a prefix as netlink takes it.
func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// zeroOf is the unspecified address of a's family.
func zeroOf(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// single is the prefix that holds one address.
func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
