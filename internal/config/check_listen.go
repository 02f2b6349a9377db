package config

import "net/netip"

// listens reports services that listen on the same VIP and port, and backends
// that are VIPs: a packet to one would be steered again instead of arriving.
func (c *checker) listens() {
	services, vips := map[netip.AddrPort]path{}, map[netip.Addr]path{}
	for i, s := range c.s.Services {
		p := path("services").item(i).key("listen")
		if !s.Listen.IsValid() {
			continue
		}
		if other, taken := services[s.Listen]; taken {
			c.refuse(p, "merge the two, or change the port", "%s is where %s listens", s.Listen, c.ref(other))
			continue
		}
		services[s.Listen] = p
		if _, known := vips[s.Listen.Addr()]; !known {
			vips[s.Listen.Addr()] = p
		}
	}
	c.eachBackend(func(p path, _ *Service, b *Backend) {
		at := p.key("addr")
		if service, ok := services[b.Addr]; ok {
			c.refuse(at, "name a machine that serves SSH", "%s is itself a service, %s", b.Addr, c.ref(service))
		} else if vip, ok := vips[b.Addr.Addr()]; ok {
			c.refuse(at, "use an address of the backend's own", "%s is a VIP, %s", b.Addr.Addr(), c.ref(vip))
		}
	})
}

// members bounds what all services have together: each backend of each
// service takes a record of its own in the dataplane.
func (c *checker) members() {
	n := 0
	for i, s := range c.s.Services {
		if n += len(s.Backends); n > MaxMembers {
			c.refuse(path("services").item(i).key("backends"), "spread the services over more gateways",
				"the services up to this one have %d backends, more than the limit of %d", n, MaxMembers)
			return
		}
	}
}
