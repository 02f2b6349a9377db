package links

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Netlink asks the running kernel, in the network namespace of the thread that
// calls.
type Netlink struct{}

// Links implements [Kernel].
func (Netlink) Links() ([]Link, error) {
	found, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %v", err)
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
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
		a := l.Attrs()
		parent := a.ParentIndex
		if a.NetNsID >= 0 {
			parent = 0 // the index is one of another namespace
		}
		list = append(list, Link{
			Index: a.Index, Name: a.Name, Kind: l.Type(), Parent: parent,
			Loopback: a.Flags&net.FlagLoopback != 0, Addrs: byIndex[a.Index],
		})
	}
	return list, nil
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
