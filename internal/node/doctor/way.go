package doctor

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/internal/dump"
)

// Way implements [router].
func (system) Way(to netip.Addr) (w way, found bool, err error) {
	routes, err := netlink.RouteGet(net.IP(to.AsSlice()))
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.EACCES) {
		return way{}, false, nil
	}
	if err != nil {
		return way{}, false, fmt.Errorf("look up the route to %s: %v", to, err)
	}
	if len(routes) == 0 {
		return way{}, false, nil
	}
	r := routes[0]
	link, err := netlink.LinkByIndex(r.LinkIndex)
	if err != nil {
		return way{}, false, fmt.Errorf("look up the route to %s: %v", to, err)
	}
	w = way{Link: link.Attrs().Name}
	switch via := r.Via.(type) {
	case *netlink.Via: // an IPv4 route with an IPv6 router
		w.Gateway = address(via.Addr)
	default:
		w.Gateway = address(r.Gw)
	}
	err = w.neighbour(r.LinkIndex, w.next(to))
	return w, true, err
}

// neighbour reads what the kernel knows of the next hop.
func (w *way) neighbour(link int, next netip.Addr) error {
	// All families: an IPv4 route may have an IPv6 router.
	list, err := dump.Whole(func() ([]netlink.Neigh, error) { return netlink.NeighList(link, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list neighbours on %s: %v", w.Link, err)
	}
	for _, n := range list {
		if address(n.IP) != next {
			continue
		}
		w.Failed = n.State&netlink.NUD_FAILED != 0
		if n.State&(netlink.NUD_FAILED|netlink.NUD_INCOMPLETE) == 0 {
			w.MAC = n.HardwareAddr
		}
	}
	return nil
}

func address(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}
