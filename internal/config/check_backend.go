package config

import (
	"net/netip"
	"strings"
)

// naming is a name that a backend got, and where.
type naming struct {
	name string
	addr netip.AddrPort
	at   path
	node bool
}

// backendNames sees to it that a name means one backend and a backend has one
// name, wherever it stands: states and counters are kept by it. A backend
// named once is known by that name everywhere. A node is one name with an address
// for each family or network that services reach it by.
func (c *checker) backendNames() {
	byAddr, byName := map[netip.AddrPort]naming{}, map[string]naming{}
	c.eachBackend(func(p path, s *Service, b *Backend) {
		if b.Name == "" || !b.Addr.IsValid() {
			return
		}
		n := naming{name: b.Name, addr: b.Addr, at: p.key("name"), node: s.Spread()}
		if before, named := byAddr[n.addr]; named && before.name != n.name {
			c.refuse(n.at, "use one name for it", "%s is called %s by %s", n.addr, before.name, c.ref(before.at))
		} else if before, taken := byName[n.name]; taken && before.addr != n.addr && !(before.node && n.node) {
			c.refuse(n.at, "choose another", "%s is already the name of %s, by %s", n.name, before.addr, c.ref(before.at))
		} else if strings.Contains(n.name, ":") && n.name != n.addr.String() {
			c.refuse(n.at, "choose a word", "%s is not the backend's address and port", n.name)
		} else if !named {
			byAddr[n.addr], byName[n.name] = n, n
		}
	})
	// Only now, for a later service may hold the name.
	c.eachBackend(func(_ path, _ *Service, b *Backend) {
		if n, named := byAddr[b.Addr]; b.Name == "" && named {
			b.Name = n.name
		} else if b.Name == "" && b.Addr.IsValid() {
			b.Name = b.Addr.String()
		}
	})
}

// eachBackend visits the backends of all services.
func (c *checker) eachBackend(visit func(p path, s *Service, b *Backend)) {
	for i := range c.s.Services {
		p := path("services").item(i).key("backends")
		if c.s.Services[i].Spread() {
			p = path("services").item(i).key("nodes")
		}
		for j := range c.s.Services[i].Backends {
			visit(p.item(j), &c.s.Services[i], &c.s.Services[i].Backends[j])
		}
	}
}
