package health

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/internal/dump"
)

// The ranges that check addresses may come from, each with room for every
// member id. No packet with such an address leaves the node, so nobody else
// can be disturbed; only the node itself must have no need to reach somebody
// there. Link-local 169.254/16 is not among them, for the heartbeat and clouds'
// metadata live there.
var (
	// From the block for benchmarks of network gear (RFC 2544), which no
	// network in service may use; and, should this be such a benchmark, from
	// the block reserved for the future (RFC 1112), which Linux routes like any
	// other.
	ranges4 = []netip.Prefix{netip.MustParsePrefix("198.19.192.0/18"), netip.MustParsePrefix("240.83.64.0/18")}
	// Unique local addresses with 40 drawn bits, as RFC 4193 has it.
	ranges6 = []netip.Prefix{netip.MustParsePrefix("fd2e:71c5:94a8::/112"), netip.MustParsePrefix("fdc3:0b5d:e6f7::/112")}
)

// nth is address number n of a range.
func nth(p netip.Prefix, n uint16) netip.Addr {
	if p.Addr().Is4() {
		b := p.Addr().As4()
		b[2], b[3] = b[2]|byte(n>>8), b[3]|byte(n)
		return netip.AddrFrom4(b)
	}
	b := p.Addr().As16()
	b[14], b[15] = b[14]|byte(n>>8), b[15]|byte(n)
	return netip.AddrFrom16(b)
}

// route leads one range of each family into the pair. A node without IPv6 does
// without it.
func (l *Link) route(h *netlink.Handle, p pair) (err error) {
	if l.v4, err = routeOne(h, p, ranges4); err != nil {
		return err
	}
	// The range's first address, which no member has, for the stack's end: the
	// reverse path filter, even a loose one, refuses all that comes in by an
	// interface without an IPv4 address if the way back leads elsewhere.
	own := &netlink.Addr{
		IPNet: &net.IPNet{IP: nth(l.v4, 0).AsSlice(), Mask: net.CIDRMask(32, 32)},
		Scope: unix.RT_SCOPE_LINK, Flags: unix.IFA_F_NOPREFIXROUTE,
	}
	if err := h.AddrReplace(p.stack, own); err != nil {
		return fmt.Errorf("give %q the address %s: %v", stackEnd, own.IP, err)
	}
	if l.v6, l.no6 = routeOne(h, p, ranges6); l.no6 != nil {
		l.no6 = fmt.Errorf("no IPv6 checks: %v", l.no6)
	}
	return nil
}

// routeOne takes the first range that is free.
func routeOne(h *netlink.Handle, p pair, ranges []netip.Prefix) (netip.Prefix, error) {
	index := p.stack.Attrs().Index
	var why error
	for _, r := range ranges {
		used, err := inUse(h, index, r)
		if err != nil {
			return netip.Prefix{}, err
		}
		if used != "" {
			why = fmt.Errorf("the check addresses %s and their substitutes are in use here: %s", ranges[0], used)
			continue
		}
		dst := &net.IPNet{IP: r.Addr().AsSlice(), Mask: net.CIDRMask(r.Bits(), r.Addr().BitLen())}
		err = h.RouteReplace(&netlink.Route{Dst: dst, LinkIndex: index, Scope: netlink.SCOPE_LINK, Protocol: unix.RTPROT_STATIC})
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("route %s by %q: %v", r, stackEnd, err)
		}
		return r, nil
	}
	return netip.Prefix{}, why
}

// inUse says who else on this node uses part of a range, "" for nobody: an
// address of the node, or a route that is not just everybody's default. It asks
// for single addresses since a dump of all routes takes seconds on a router
// with a full table; a route longer than /24 inside may so go unseen.
func inUse(h *netlink.Handle, index int, r netip.Prefix) (string, error) {
	addrs, err := dump.Whole(func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return "", fmt.Errorf("list addresses: %v", err)
	}
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP); ok && a.LinkIndex != index && r.Contains(ip.Unmap()) {
			return fmt.Sprintf("address %s", a.IPNet), nil
		}
	}
	for n := 1; n < 1<<14; n += 1 << 8 {
		routes, err := h.RouteGetWithOptions(nth(r, uint16(n)).AsSlice(), &netlink.RouteGetOptions{FIBMatch: true})
		switch {
		case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EACCES):
			continue // no route, or one that discards as a filter of bogons does
		case err != nil:
			return "", fmt.Errorf("look up route: %v", err)
		}
		for _, route := range routes {
			if route.LinkIndex == index || route.Dst == nil {
				continue
			}
			if ones, _ := route.Dst.Mask.Size(); ones > 0 {
				return fmt.Sprintf("route %s", route.Dst), nil
			}
		}
	}
	return "", nil
}
