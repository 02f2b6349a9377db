package links

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/internal/dump"
)

// Netlink asks the running kernel, in the network namespace of the thread that
// calls.
type Netlink struct{}

// Links implements [Kernel].
func (Netlink) Links() ([]Link, error) {
	found, err := dump.Whole(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %v", err)
	}
	addrs, err := dump.Whole(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %v", err)
	}
	byIndex := make(map[int][]netip.Prefix)
	for _, a := range addrs {
		if p, ok := prefix(a.IPNet); ok {
			byIndex[a.LinkIndex] = append(byIndex[a.LinkIndex], p)
		}
	}
	list := make([]Link, 0, len(found))
	for _, l := range found {
		link := describe(l)
		link.Addrs = byIndex[link.Index]
		list = append(list, link)
	}
	return list, nil
}

// describe is what netlink says of a link, its addresses apart.
func describe(l netlink.Link) Link {
	a := l.Attrs()
	link := Link{
		Index: a.Index, Name: a.Name, Kind: l.Type(), Parent: a.ParentIndex, Master: a.MasterIndex,
		Loopback:   a.Flags&net.FlagLoopback != 0,
		NoEthernet: a.EncapType != "" && a.EncapType != "ether" && a.EncapType != "loopback",
	}
	if a.NetNsID >= 0 {
		link.Parent = 0 // the index is one of another namespace
	}
	switch l := l.(type) {
	case *netlink.Vlan:
		link.VLAN = uint16(l.VlanId)
	case *netlink.Bond:
		link.Bond = againstXDP(l)
	}
	return link
}

// againstXDP says what of a bond has its driver refuse XDP, "" if nothing.
func againstXDP(b *netlink.Bond) string {
	switch b.Mode {
	case netlink.BOND_MODE_BALANCE_RR, netlink.BOND_MODE_ACTIVE_BACKUP:
		return ""
	case netlink.BOND_MODE_802_3AD, netlink.BOND_MODE_BALANCE_XOR:
		if b.XmitHashPolicy != netlink.BOND_XMIT_HASH_POLICY_VLAN_SRCMAC {
			return ""
		}
		return "in mode " + b.Mode.String() + " with xmit_hash_policy vlan+srcmac"
	}
	return "in mode " + b.Mode.String()
}

// Routes implements [Kernel].
func (Netlink) Routes(to netip.Addr) ([]int, error) {
	// The route itself and not the way one packet would take, so that all ways
	// of a multipath route are seen.
	routes, err := netlink.RouteGetWithOptions(net.IP(to.AsSlice()), &netlink.RouteGetOptions{FIBMatch: true})
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EINVAL) {
		return nil, nil // none, unreachable, prohibit, blackhole
	}
	if err != nil {
		return nil, fmt.Errorf("look up the route to %s: %v", to, err)
	}
	var ways []int
	for _, r := range routes {
		if r.LinkIndex > 0 {
			ways = append(ways, r.LinkIndex)
		}
		for _, hop := range r.MultiPath {
			ways = append(ways, hop.LinkIndex)
		}
	}
	return ways, nil
}

func prefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), ones), ok
}
