package nexthop

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/internal/dump"
)

// rtnetlink is the kernel of the namespace it was opened in.
type rtnetlink struct{ handle *netlink.Handle }

func openRtnetlink() (*rtnetlink, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %v", err)
	}
	return &rtnetlink{handle: h}, nil
}

func (k *rtnetlink) close() { k.handle.Close() }

// lookup implements kernel.
func (k *rtnetlink) lookup(dst netip.Addr) (route, error) {
	routes, err := k.handle.RouteGet(dst.AsSlice())
	if err != nil {
		return route{}, noRoute(err)
	}
	if len(routes) == 0 {
		return route{}, noRoute(unix.ENETUNREACH)
	}
	r := routes[0]
	switch {
	case r.Type == unix.RTN_LOCAL:
		return route{}, ErrLocal
	case r.Type != unix.RTN_UNICAST:
		return route{}, fmt.Errorf("the route is of type %d, not unicast", r.Type)
	case r.Encap != nil:
		return route{}, fmt.Errorf("the route encapsulates packets (%s), which XDP does not", r.Encap)
	}
	source, _ := netip.AddrFromSlice(r.Src)
	return route{key{link: r.LinkIndex, addr: gateway(r, dst)}, source.Unmap()}, nil
}

// noRoute puts the errors by which the kernel names kinds of routes in words.
func noRoute(err error) error {
	switch {
	case errors.Is(err, unix.ENETUNREACH):
		return errors.New("no route; add one with \"ip route add\"")
	case errors.Is(err, unix.EHOSTUNREACH):
		return errors.New("a route declares it unreachable")
	case errors.Is(err, unix.EACCES):
		return errors.New("a route prohibits it")
	case errors.Is(err, unix.EINVAL):
		return errors.New("a route discards it (blackhole)")
	}
	return fmt.Errorf("look up route: %v", err)
}

// gateway is whom a packet for dst is handed to: dst itself on the link's own
// network. An IPv4 route may name an IPv6 router.
func gateway(route netlink.Route, dst netip.Addr) netip.Addr {
	if a, ok := netip.AddrFromSlice(route.Gw); ok {
		return a.Unmap()
	}
	if via, ok := route.Via.(*netlink.Via); ok {
		if a, ok := netip.AddrFromSlice(via.Addr); ok {
			return a.Unmap()
		}
	}
	return dst
}

// link implements kernel.
func (k *rtnetlink) link(index int) (link, error) {
	l, err := k.handle.LinkByIndex(index)
	if err != nil {
		return link{}, fmt.Errorf("look up interface %d: %v", index, err)
	}
	a := l.Attrs()
	out := link{
		index: a.Index, name: a.Name, kind: l.Type(), mac: a.HardwareAddr, mtu: a.MTU,
		parent: a.ParentIndex, abroad: a.NetNsID >= 0,
	}
	// A driver that does not report a carrier leaves the state unknown.
	out.up = a.Flags&net.FlagUp != 0 &&
		a.OperState != netlink.OperDown && a.OperState != netlink.OperLowerLayerDown && a.OperState != netlink.OperNotPresent
	if v, ok := l.(*netlink.Vlan); ok {
		out.vlan = uint16(v.VlanId)
	}
	return out, nil
}

// neighbours implements kernel.
func (k *rtnetlink) neighbours() (map[key]neighbour, error) {
	list, err := dump.Whole(func() ([]netlink.Neigh, error) { return k.handle.NeighList(0, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("read neighbours: %v", err)
	}
	out := make(map[key]neighbour, len(list))
	for _, n := range list {
		if a, ok := netip.AddrFromSlice(n.IP); ok {
			out[key{link: n.LinkIndex, addr: a.Unmap()}] = neighbour{
				state: uint16(n.State), mac: n.HardwareAddr,
				managed: n.FlagsExt&netlink.NTF_EXT_MANAGED != 0,
			}
		}
	}
	return out, nil
}

// manage implements kernel.
func (k *rtnetlink) manage(at key) error {
	return k.set(at, &netlink.Neigh{FlagsExt: netlink.NTF_EXT_MANAGED})
}

// poke implements kernel. A request without NTF_EXT_MANAGED ends the management
// of an entry that had it.
func (k *rtnetlink) poke(at key) error {
	return k.set(at, &netlink.Neigh{Flags: netlink.NTF_USE})
}

// set leaves the entry's state and MAC to the kernel: it changes flags alone.
func (k *rtnetlink) set(at key, n *netlink.Neigh) error {
	n.LinkIndex, n.IP, n.State = at.link, at.addr.AsSlice(), netlink.NUD_NONE
	n.Family = unix.AF_INET
	if at.addr.Is6() {
		n.Family = unix.AF_INET6
	}
	return k.handle.NeighSet(n)
}
