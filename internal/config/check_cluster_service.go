package config

import "net/netip"

// clusterPool checks that what replies come back to moves with the VIP.
func (c *checker) clusterPool(p path, s *Service) {
	if !s.Listen.IsValid() || len(c.s.VirtualClusters) == 0 {
		return
	}
	vip, moves := c.vips[s.Listen.Addr()]
	if at := p.key("listen"); !moves {
		c.warn(c.place(at), at, "add it to the vips of one", "%s is in no virtual cluster, so it does not move", s.Listen.Addr())
	}
	for i, addr := range s.SourcePool {
		at := p.key("source_pool").item(i)
		switch pool, known := c.vips[addr]; {
		case !addr.IsValid() || !hides(s):
		case moves && (!known || pool.cluster != vip.cluster):
			c.refuse(at, "add it to its vips, or use one of them", "%s is no virtual address of %s, which moves %s: replies would not follow", addr, vip.cluster.Name, s.Listen.Addr())
		case !moves && known:
			c.refuse(at, "use an address that stays", "%s is a virtual address of %s, which does not move %s: replies would not come back", addr, pool.cluster.Name, s.Listen.Addr())
		}
	}
}

// clusterBackends reports backends that are virtual addresses: whoever is
// active would be its own backend.
func (c *checker) clusterBackends() {
	listens := map[netip.Addr]bool{}
	for _, s := range c.s.Services {
		listens[s.Listen.Addr()] = true
	}
	c.eachBackend(func(p path, _ *Service, b *Backend) {
		addr := b.Addr.Addr()
		if vip, taken := c.vips[addr]; taken && !listens[addr] {
			c.refuse(p.key("addr"), "name a machine that serves SSH", "%s is a virtual address, %s", b.Addr, c.ref(vip.at))
		}
	})
}
