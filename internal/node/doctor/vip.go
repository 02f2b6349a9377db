package doctor

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"sluice/internal/node/links"
)

// checkVIPs looks whether packets for the VIPs come to this machine at all.
func checkVIPs(_ context.Context, e *examination) {
	seen := make(map[netip.Addr]bool)
	for _, c := range e.clusters() {
		for _, v := range c.VIPs {
			seen[v.Addr.Addr()] = true // checkElectedVIPs does
		}
	}
	for _, s := range e.settings.Services {
		if s.Spread() {
			seen[s.Listen.Addr()] = true // checkNodes knows better
		}
	}
	for _, s := range e.settings.Services {
		if vip := s.Listen.Addr(); !seen[vip] {
			seen[vip] = true
			e.checkVIP(vip)
		}
	}
}

// checkVIP tells three cases apart: an interface holds the VIP, which is right;
// it is of a network of ours that nobody answers for, which cannot work; it is
// of no network of ours, which works if routers know it.
func (e *examination) checkVIP(vip netip.Addr) {
	subject := "VIP " + vip.String()
	if holder, found := e.find(func(p netip.Prefix) bool { return p.Addr() == vip }); found {
		e.pass(subject, "is an address of %s", holder.Name)
		return
	}
	if near, found := e.find(func(p netip.Prefix) bool { return p.Contains(vip) }); found {
		e.fail(subject, fmt.Sprintf("is of the network of %s, but no interface has it: nobody answers for it there", near.Name),
			fmt.Sprintf("ip address add %s dev %s", netip.PrefixFrom(vip, vip.BitLen()), near.Name))
		return
	}
	e.warn(subject, "is no address of this machine: packets come only if routers send them here",
		"give it to an interface, or see that it is routed to this machine")
}

// find returns the first interface, by index, with an address that matches.
func (e *examination) find(match func(netip.Prefix) bool) (links.Link, bool) {
	for _, index := range slices.Sorted(maps.Keys(e.links)) {
		if l := e.links[index]; slices.ContainsFunc(l.Addrs, match) {
			return l, true
		}
	}
	return links.Link{}, false
}
