package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"sluice/internal/config"
	"sluice/internal/node/links"
)

// elected says whether an election decides who has a VIP.
func (e *examination) elected(vip netip.Addr) bool {
	for _, c := range e.clusters() {
		if slices.ContainsFunc(c.VIPs, func(v config.VIP) bool { return v.Addr.Addr() == vip }) {
			return true
		}
	}
	return false
}

// checkElectedVIPs looks at the VIPs that an election decides about: that each has
// a network here to be in, is nobody's own, and is had by one machine alone.
func checkElectedVIPs(ctx context.Context, e *examination) {
	for _, c := range e.clusters() {
		for _, v := range c.VIPs {
			subject := "VIP " + v.Addr.Addr().String()
			if _, found := e.named(v.Interface); !found {
				e.fail(subject, fmt.Sprintf("belongs on %s, which is no interface of this machine", v.Interface),
					"correct virtual_clusters.vips.interface, or make the interface")
				continue
			}
			if e.checkOwnNetwork(subject, c, v) && e.checkNobodysOwn(subject, v) {
				e.checkHolders(ctx, subject, c, v)
			}
		}
	}
}

func (e *examination) named(name string) (links.Link, bool) {
	for _, l := range e.links {
		if l.Name == name {
			return l, true
		}
	}
	return links.Link{}, false
}

// checkOwnNetwork: adverts need a source, and a VIP outside every network of its
// interface is asked for by nobody there.
func (e *examination) checkOwnNetwork(subject string, c config.VirtualCluster, v config.VIP) bool {
	own, err := e.machine.Own(v.Interface)
	if err != nil {
		e.warn(subject, err.Error(), "run doctor in the gateway's network namespace")
		return false
	}
	own = slices.DeleteFunc(slices.Clone(own), func(p netip.Prefix) bool { return p.Addr().Is6() != v.IPv6() })
	family := map[bool]string{false: "IPv4", true: "IPv6"}[v.IPv6()]
	at := slices.IndexFunc(own, func(p netip.Prefix) bool { return p.Bits() < p.Addr().BitLen() && p.Contains(v.Addr.Addr()) })
	switch {
	case len(own) == 0:
		e.fail(subject, fmt.Sprintf("%s has no %s address of its own, which adverts of virtual cluster %s are sent from", v.Interface, family, c.Name),
			fmt.Sprintf("give each gateway an address of its own in the network of the VIP: ip address add ADDRESS/%d dev %s", v.Addr.Bits(), v.Interface))
		return false
	case at < 0:
		e.fail(subject, fmt.Sprintf("is in no network of %s (%s): nobody there asks for it", v.Interface, joined(own)),
			"correct the VIP or its interface, or give the interface an address of its own in that network")
		return false
	case own[at].Bits() != v.Addr.Bits():
		e.warn(subject, fmt.Sprintf("has the length /%d in the settings, and the network of %s /%d", v.Addr.Bits(), v.Interface, own[at].Bits()),
			"write the VIP with the length of its network")
	}
	return true
}

func joined(list []netip.Prefix) string {
	var texts []string
	for _, p := range list {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, ", ")
}

// checkNobodysOwn: an address that the machine has by itself stays when the role
// leaves.
func (e *examination) checkNobodysOwn(subject string, v config.VIP) bool {
	for _, l := range e.links {
		if l.Loopback || ourMacvlan(l) {
			continue
		}
		own, err := e.machine.Own(l.Name)
		if err != nil {
			continue // it went away meanwhile
		}
		for _, p := range own {
			if p.Addr() == v.Addr.Addr() && (!p.Addr().IsLinkLocalUnicast() || l.Name == v.Interface) {
				e.fail(subject, fmt.Sprintf("is an address of %s itself, which stays when another gateway has the role", l.Name),
					fmt.Sprintf("ip address del %s dev %s, and take it out of what configures the network", p, l.Name))
				return false
			}
		}
	}
	return true
}

// ourMacvlan is an interface on which VIPs lie.
func ourMacvlan(l links.Link) bool { return l.Kind == "macvlan" && strings.HasPrefix(l.Name, "vip") }

// checkHolders asks the network who has a VIP.
func (e *examination) checkHolders(ctx context.Context, subject string, c config.VirtualCluster, v config.VIP) {
	holder, here := e.holder(v.Addr.Addr())
	bounded, cancel := context.WithTimeout(ctx, whoHasTimeout)
	defer cancel()
	answers, err := e.machine.WhoHas(bounded, v.Interface, v.Addr.Addr())
	virtual := c.MAC(v.IPv6())
	switch {
	case err != nil:
		e.warn(subject, err.Error(), "run doctor as root")
	case here && len(answers) > 0:
		e.fail(subject, fmt.Sprintf("is here, and %s on the network of %s has it, too", macs(answers), v.Interface),
			"\"sluice show vips\" on all gateways tells whether two are active; else take the address off that machine")
	case len(answers) > 1:
		e.fail(subject, fmt.Sprintf("%s on the network of %s have it", macs(answers), v.Interface),
			"\"sluice show vips\" on all gateways tells whether two are active; else take the address off the other machine")
	case len(answers) == 1 && virtual != nil && !slices.Equal(answers[0], virtual):
		e.fail(subject, fmt.Sprintf("is had by %s, which is not the virtual MAC %s", answers[0], virtual),
			"take it off that machine, or apply the same settings on all gateways")
	default:
		e.pass(subject, "%s", holds(holder, here, v))
	}
}

func holds(l links.Link, here bool, v config.VIP) string {
	if here {
		return "is here, on " + l.Name + ": this gateway is active"
	}
	return fmt.Sprintf("is not here now, and %s has a network for it", v.Interface)
}

func macs(list []net.HardwareAddr) string {
	var texts []string
	for _, m := range list {
		texts = append(texts, m.String())
	}
	return strings.Join(texts, " and ")
}
