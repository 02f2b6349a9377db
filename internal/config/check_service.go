package config

// service checks what one service says against itself. It also clears what the
// mode gives no meaning, so that equal services have equal values.
func (c *checker) service(p path, s *Service) {
	switch s.Mode {
	case "":
		return // without the mode nobody can tell what fits
	case ModeSSHD:
		c.sshd(p, s)
	default:
		for _, name := range []string{"nodes", "node_addr", "via"} {
			c.idle(p.key(name), "but in mode sshd")
		}
		s.Nodes, s.NodeAddr, s.Via = nil, "", ""
		if !c.given(p.key("backends")) {
			c.refuse(p, `add backends: ["10.0.0.11:22"]`, "has no backends, which mode %s needs", s.Mode)
		}
	}
	c.source(p, s)
	c.clusterPool(p, s)
	c.outerSource(p.key("outer_source"), s)
	c.backends(p, s)
	c.healthCheck(p.key("health_check"), s.HealthCheck)
}

// sshd checks what a service in mode sshd may say: all that is about backends
// needs nodes, which are its backends.
func (c *checker) sshd(p path, s *Service) {
	if c.given(p.key("nodes")) {
		c.idle(p.key("backends"), "in mode sshd, whose backends are its nodes")
		return
	}
	for _, name := range []string{"select", "backends", "health_check", "last_resort", "on_down"} {
		c.idle(p.key(name), "in mode sshd, which has no backends")
	}
	for _, name := range []string{"node_addr", "via"} {
		c.idle(p.key(name), "without nodes")
	}
	s.Select, s.HealthCheck, s.LastResort, s.OnDown, s.NodeAddr, s.Via = "", HealthCheck{}, "", "", "", ""
}

// idle refuses a value that would do nothing: whoever wrote it expects
// something of it.
func (c *checker) idle(p path, where string) {
	if c.given(p) {
		c.refuse(p, "remove it", "means nothing %s", where)
	}
}

// source checks what the backends see as source address. The pool has to be of
// the VIP's family because the backends are: a reply could not come back.
func (c *checker) source(p path, s *Service) {
	if s.Mode != ModeNAT {
		c.idle(p.key("client_address"), "but in mode nat")
		c.idle(p.key("source_pool"), "but in mode nat with client_address hide or proxy_v2")
		s.ClientAddress = ""
		return
	}
	if s.ClientAddress == ClientKeep {
		c.idle(p.key("source_pool"), "with client_address keep, which shows backends the client's own address")
	}
	pool := p.key("source_pool")
	c.noRepeats(pool, len(s.SourcePool), func(i int) string {
		if !s.SourcePool[i].IsValid() {
			return ""
		}
		return s.SourcePool[i].String()
	})
	for i, addr := range s.SourcePool {
		if !addr.IsValid() || !s.Listen.IsValid() {
			continue
		}
		if vip := s.Listen.Addr(); family(addr) != family(vip) {
			c.refuse(pool.item(i), "use addresses of the VIP's family", "%s is %s and the VIP %s", addr, family(addr), family(vip))
		}
		for j, b := range s.Backends {
			if b.Addr.Addr() == addr {
				c.refuse(pool.item(i), "use an address of the gateway", "%s is the address of %s", addr, p.key("backends").item(j))
				break
			}
		}
	}
}

// outerSource checks what backends see outside. Which family it takes is for
// the backends to say, not for the VIP.
func (c *checker) outerSource(p path, s *Service) {
	if !s.Mode.Tunnels() {
		c.idle(p, "but in modes ipip and gue")
		return
	}
	first := map[string]path{}
	for i, source := range s.OuterSource {
		if !source.IsValid() {
			continue
		}
		of := family(source.Addr())
		if before, taken := first[of]; taken {
			c.refuse(p.item(i), "keep one of the two", "is %s as is %s", of, c.ref(before))
			continue
		}
		first[of] = p.item(i)
	}
}

// backends checks the backends of one service. Neither nat nor dsr translates
// between IPv4 and IPv6, and what goes one way keeps its TCP header.
func (c *checker) backends(p path, s *Service) {
	list := p.key("backends")
	if s.Spread() {
		list = p.key("nodes")
		c.nodes(p, s)
	} else {
		c.listedBackends(list, s)
	}
	weights := 0
	for _, b := range s.Backends {
		weights += b.Weight
	}
	if len(s.Backends) > 0 && weights == 0 {
		c.warn(c.place(list), list, "give one of them a weight", "every backend has weight 0, so none gets new flows")
	}
}

// listedBackends checks those that the file lists.
func (c *checker) listedBackends(list path, s *Service) {
	c.noRepeats(list, len(s.Backends), func(i int) string {
		if !s.Backends[i].Addr.IsValid() {
			return ""
		}
		return s.Backends[i].Addr.String()
	})
	for i, b := range s.Backends {
		if !b.Addr.IsValid() || !s.Listen.IsValid() {
			continue
		}
		at := list.item(i).key("addr")
		if vip := s.Listen.Addr(); family(b.Addr.Addr()) != family(vip) && !s.Mode.Tunnels() {
			c.refuse(at, "use backends of the VIP's family, or mode ipip or gue", "%s is %s and the VIP %s", b.Addr, family(b.Addr.Addr()), family(vip))
		}
		if s.Mode.OneWay() && b.Addr.Port() != s.Listen.Port() {
			c.refuse(at, "use the same port on both, or mode nat", "port %d differs from the service's %d, and mode %s rewrites no ports",
				b.Addr.Port(), s.Listen.Port(), s.Mode)
		}
	}
}

// healthCheck checks that a probe is over before the next one begins.
func (c *checker) healthCheck(p path, h HealthCheck) {
	if h.Timeout == 0 || h.Interval == 0 || h.Timeout < h.Interval {
		return
	}
	at := p.key("timeout")
	if !c.given(at) {
		at = p.key("interval")
	}
	c.refuse(at, "make timeout less than interval", "the timeout of %s is not less than the interval of %s",
		formatDuration(h.Timeout), formatDuration(h.Interval))
}
