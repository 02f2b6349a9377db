package engine

import (
	"net/netip"
	"slices"

	"sluice/internal/config"
	"sluice/internal/node/links"
	"sluice/steering/vips"
)

// vipsOf are the VIPs of the settings.
func (e *Engine) vipsOf(s *config.Settings) []vips.VIP {
	if e.options.Elected == nil {
		return vipsOf(s, nil)
	}
	return vipsOf(s, e.options.Elected(s))
}

// vipsOf are the VIPs of the settings and those that an election decides about,
// each once.
func vipsOf(s *config.Settings, elected []netip.Addr) []vips.VIP {
	var list []vips.VIP
	for _, addr := range elected {
		list = append(list, vips.VIP{Addr: addr, Elected: true})
	}
	for _, service := range s.Services {
		addr := service.Listen.Addr()
		at := slices.IndexFunc(list, func(v vips.VIP) bool { return v.Addr == addr })
		if at < 0 {
			at = len(list)
			list = append(list, vips.VIP{Addr: addr})
		}
		list[at].Spread = list[at].Spread || service.Spread()
		list[at].Ends = list[at].Ends || slices.ContainsFunc(service.Backends, func(b config.Backend) bool { return b.Local })
	}
	return list
}

// prepareVIPs makes packets for VIPs of nodes end here. They may come by every
// interface that has its frames carried by one of ours.
func (e *Engine) prepareVIPs(s *config.Settings) error {
	list := e.vipsOf(s)
	if !slices.ContainsFunc(list, func(v vips.VIP) bool { return v.Ends }) {
		return e.vips.Prepare(list, nil)
	}
	all, err := links.Netlink{}.Links()
	if err != nil {
		return err
	}
	return e.vips.Prepare(list, bearing(all, e.selection.Names))
}

// settleVIPs takes over what is in force; nothing is before the first settings.
func (e *Engine) settleVIPs() {
	if e.applied != nil {
		e.vips.Settle(e.vipsOf(e.applied))
	}
}

// bearing are the links whose frames the carriers carry, those included.
func bearing(all []links.Link, carriers []string) []string {
	byIndex := make(map[int]links.Link, len(all))
	for _, l := range all {
		byIndex[l.Index] = l
	}
	var names []string
	for _, l := range all {
		if slices.Contains(carriers, links.Carrier(byIndex, l).Name) {
			names = append(names, l.Name)
		}
	}
	return names
}
