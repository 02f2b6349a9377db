package keepalived

import "net/netip"

// router is a virtual router as each node has it, the node of the settings
// first; nil where a node has none.
type router []*instance

// router finds what the other nodes have of a router.
func (w *writer) router(own *instance) *router {
	r := router{own}
	for _, c := range w.nodes[1:] {
		var found *instance
		for _, v := range c.instances {
			if own.likeness(v) > own.likeness(found) {
				found = v
			}
		}
		if found == nil {
			w.note(own.at, "%s: %s has no vrrp_instance with virtual_router_id %d for the same family", quote(own.name), c.name, own.vrid)
		} else if own.common(found) != max(len(own.vips), len(found.vips)) {
			w.note(found.at, "%s has not the same addresses on %s and %s: those of %s are taken", quote(found.name), w.nodes[0].name, c.name, w.nodes[0].name)
		}
		r = append(r, found)
	}
	return &r
}

// likeness says how surely a router of another node is the same, 0 for not at
// all: it has the number and family, and with one number on several interfaces,
// rather the one with the same addresses, interface and name.
func (v *instance) likeness(of *instance) int {
	if of == nil || of.vrid != v.vrid || of.ipv6() != v.ipv6() {
		return 0
	}
	n := 1 + 4*v.common(of)
	if of.interfaceName == v.interfaceName {
		n += 2
	}
	if of.name == v.name {
		n++
	}
	return n
}

// common is how many addresses two routers have both.
func (v *instance) common(of *instance) (n int) {
	known := map[netip.Addr]bool{}
	for _, vip := range v.vips {
		known[vip.addr.Addr()] = true
	}
	for _, vip := range of.vips {
		if known[vip.addr.Addr()] {
			n++
		}
	}
	return n
}

// ipv6 says of what family the router is.
func (v *instance) ipv6() bool {
	return len(v.vips) > 0 && v.vips[0].addr.Addr().Is6()
}
