package nettest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// clear takes out of a gateway's kernel what programs had put into it: links,
// addresses and routes, as after a boot. Sysctls stay.
func (g *ClusterGateway) clear() error {
	links, err := g.nl.LinkList()
	if err != nil {
		return fmt.Errorf("clear %s: %v", g.Label, err)
	}
	var errs []error
	for _, l := range links {
		a := l.Attrs()
		if !slices.Contains(g.born, a.Name) {
			// Gone already where its peer went just before.
			if err := g.nl.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
				errs = append(errs, fmt.Errorf("remove link %q: %v", a.Name, err))
			}
		}
	}
	return errors.Join(append(errs, g.clearAddrs(), g.clearRoutes())...)
}

func (g *ClusterGateway) clearAddrs() error {
	addrs, err := g.nl.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("clear %s: %v", g.Label, err)
	}
	var planned []string
	for _, p := range []Pair{g.Ext, g.Int, g.Heartbeat} {
		planned = append(planned, p.V4.String(), p.V6.String())
	}
	var errs []error
	for _, a := range addrs {
		if slices.Contains(planned, a.IP.String()) || a.IP.IsLoopback() || a.IP.IsLinkLocalUnicast() && a.IP.To4() == nil {
			continue
		}
		link, err := g.nl.LinkByIndex(a.LinkIndex)
		if err == nil {
			err = g.nl.AddrDel(link, &a)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("remove address %s: %v", a.IP, err))
		}
	}
	return errors.Join(errs...)
}

// clearRoutes leaves the kernel's own and those that were set when the gateway
// was built.
func (g *ClusterGateway) clearRoutes() error {
	routes, err := g.nl.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return fmt.Errorf("clear %s: %v", g.Label, err)
	}
	own := []netlink.RouteProtocol{unix.RTPROT_KERNEL, unix.RTPROT_BOOT, unix.RTPROT_RA}
	var errs []error
	for _, r := range routes {
		if slices.Contains(own, r.Protocol) {
			continue
		}
		if err := g.nl.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("remove route %v: %v", r.Dst, err))
		}
	}
	return errors.Join(errs...)
}
