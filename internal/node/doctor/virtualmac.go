package doctor

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"sluice/internal/config"
)

// checkVirtualMACs looks whether frames of a MAC address that is not the
// interface's pass the network, both ways: hypervisors and switches may filter
// them.
func checkVirtualMACs(ctx context.Context, e *examination) {
	type place struct {
		link string
		six  bool
	}
	seen := map[place]bool{}
	for _, c := range e.clusters() {
		for _, v := range c.VIPs {
			at := place{v.Interface, v.IPv6()}
			if c.MAC(at.six) == nil || seen[at] {
				continue
			}
			seen[at] = true
			if _, found := e.named(v.Interface); !found {
				continue // said by checkElectedVIPs
			}
			subject := "virtual MAC on " + v.Interface
			if at.six {
				subject += ", IPv6"
			} else {
				e.checkQuietAll(subject)
			}
			if err := e.machine.Macvlan(v.Interface); err != nil {
				e.fail(subject, err.Error(), "run doctor as root; else take the interface out of bridge or bond, or use virtual_mac: off")
				continue
			}
			e.checkStranger(ctx, subject, c, v.Interface, at.six)
		}
	}
}

// checkQuietAll: the greater of the values of an interface and of all holds, so
// these keep macvlans from being asked.
func (e *examination) checkQuietAll(subject string) {
	for _, most := range []struct{ name, value string }{{"arp_ignore", "1"}, {"arp_filter", "0"}} {
		value, err := e.machine.Sysctl("net", "ipv4", "conf", "all", most.name)
		switch {
		case err != nil:
			e.warn(subject, err.Error(), "run doctor where /proc/sys is mounted")
		case value > most.value:
			e.fail(subject, fmt.Sprintf("net.ipv4.conf.all.%s is %s, which holds on every interface: VIPs do not answer ARP", most.name, value),
				fmt.Sprintf("sysctl -w net.ipv4.conf.all.%s=%s, and keep it in /etc/sysctl.d", most.name, most.value))
		}
	}
}

// strangerMAC is the locally administered address that a check sends from. It is
// neither random, so that switches that remember addresses remember one only, nor
// a virtual MAC, whose place no check may move.
func strangerMAC(link string, vrid int) net.HardwareAddr {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s %d", link, vrid)
	return net.HardwareAddr(append([]byte{0x02, 0x5e}, h.Sum(nil)...))
}

// checkStranger asks a neighbour by ARP or neighbour discovery, first as this machine
// and then as a stranger. Nobody learns from the questions of ARP, which have no
// sender (RFC 5227), and nothing wrong from the others.
func (e *examination) checkStranger(ctx context.Context, subject string, c config.VirtualCluster, link string, six bool) {
	platform := e.machine.Platform()
	by := map[bool]string{false: "ARP", true: "neighbour discovery"}[six]
	neighbour, found, err := e.anyNeighbour(ctx, c, link, six)
	switch {
	case errors.Is(err, syscall.EPERM):
		e.warn(subject, fmt.Sprintf("whether frames from it pass is not known: asking by %s needs CAP_NET_RAW", by), "run doctor as root")
		return
	case err != nil:
		e.warn(subject, err.Error(), "run doctor as root")
		return
	case !found:
		e.warn(subject, fmt.Sprintf("whether frames from it pass is not known: no neighbour answers %s%s", by, on(platform)), "run doctor again while the other gateway or a router is up; "+allow(platform))
		return
	}
	for range 2 { // one may be lost
		answers, err := e.whoHasFor(ctx, link, strangerMAC(link, c.VRID), neighbour)
		if err != nil {
			e.warn(subject, err.Error(), "run doctor as root")
			return
		}
		if len(answers) > 0 {
			e.pass(subject, "%s answers another MAC address than the interface's, so the network lets one pass", neighbour)
			return
		}
	}
	e.fail(subject, fmt.Sprintf("%s answers the MAC address of %s, but no other one: something filters%s", neighbour, link, on(platform)), allow(platform))
}

func on(platform string) string {
	if platform == "" {
		return ""
	}
	return "; this machine runs on " + platform
}

// anyNeighbour is one that answers this machine.
func (e *examination) anyNeighbour(ctx context.Context, c config.VirtualCluster, link string, six bool) (addr netip.Addr, found bool, err error) {
	for _, addr := range e.neighbours(c, link, six) {
		bounded, cancel := context.WithTimeout(ctx, whoHasTimeout)
		answers, err := e.machine.WhoHas(bounded, link, addr)
		cancel()
		if err != nil || len(answers) > 0 {
			return addr, err == nil, err
		}
	}
	return netip.Addr{}, false, nil
}

func (e *examination) whoHasFor(ctx context.Context, link string, from net.HardwareAddr, addr netip.Addr) ([]net.HardwareAddr, error) {
	bounded, cancel := context.WithTimeout(ctx, whoHasTimeout)
	defer cancel()
	return e.machine.WhoHasFor(bounded, link, from, addr)
}

// neighbours are addresses of a family that somebody else on the network of an
// interface should have: the other gateways', what is pinged there, the default router.
func (e *examination) neighbours(c config.VirtualCluster, link string, six bool) []netip.Addr {
	var list []netip.Addr
	for _, a := range c.Addrs {
		if a.Interface == link {
			list = append(list, a.Peers...)
		}
	}
	for _, p := range c.Pings {
		if p.Interface == link {
			list = append(list, p.Hosts...)
		}
	}
	far := netip.AddrFrom4([4]byte{1})
	if six {
		far = netip.AddrFrom16([16]byte{0x20}) // in 2000::/3, which the world has
	}
	if w, found, err := e.machine.Way(far); err == nil && found && w.Link == link {
		list = append(list, w.Gateway)
	}
	l, _ := e.named(link)
	near := func(addr netip.Addr) bool {
		return slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Contains(addr) && p.Addr() != addr })
	}
	return slices.DeleteFunc(list, func(addr netip.Addr) bool { return !addr.IsValid() || addr.Is6() != six || !near(addr) })
}
