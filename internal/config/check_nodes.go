package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// nodes makes the nodes of a service its backends, and finds out which of them
// is this node and who the others are.
func (c *checker) nodes(p path, s *Service) {
	list := p.key("nodes")
	c.noRepeats(list, len(s.Nodes), func(i int) string { return s.Nodes[i].Name })
	if c.s.Nodes == nil && c.given("nodes") {
		return // the reason is reported there
	}
	self := c.variables.node()
	if _, listed := c.s.Nodes[self]; !listed && self != "" {
		c.refuse(list, fmt.Sprintf("add %s to nodes, or set node.name to one that is there", self),
			"is for the nodes of nodes, and this node, %s, is none of them", quote(self))
	}
	c.others(p, s, self)
	first := map[netip.Addr]path{}
	for i, n := range s.Nodes {
		at := list.item(i)
		b := Backend{Name: n.Name, Weight: n.Weight, Local: n.Name == self}
		addr, ok := c.nodeAddr(at, s, n.Name)
		if own := s.Own; ok && own.IsValid() && s.Via.Tunnels() && family(addr) != family(own) {
			c.refuse(at, "set node_addr to a variable with addresses of one family", "%s is %s and this node's %s %s", addr, family(addr), own, family(own))
		} else if before, taken := first[addr]; ok && taken {
			c.refuse(at, "use a variable in node_addr that each node has its own value of", "has the address %s, as has %s", addr, c.ref(before))
		} else if ok {
			first[addr] = at
			b.Addr = netip.AddrPortFrom(addr, s.Listen.Port())
		}
		s.Backends = append(s.Backends, b)
	}
}

// nodeAddr is the address of one of the nodes of a service; what is wrong with
// it is reported.
func (c *checker) nodeAddr(at path, s *Service, name string) (netip.Addr, bool) {
	if name == "" || s.NodeAddr == "" {
		return netip.Addr{}, false // reported where they are read
	}
	if _, defined := c.s.Nodes[name]; !defined {
		remedy := "add it there"
		if len(c.s.Nodes) > 0 {
			remedy = suggest(name, slices.Sorted(maps.Keys(c.s.Nodes)))
		}
		c.refuse(at, remedy, "names %s, which nodes does not define", quote(name))
		return netip.Addr{}, false
	}
	text, missing := c.forNode(s.NodeAddr, name)
	if missing != "" {
		c.refuse(at, "define it there, or set node_addr", "has no address: node_addr uses ${%s}, which %s does not define", missing, path("nodes").key(name))
		return netip.Addr{}, false
	}
	addr, problem, remedy := parseUnicast(text)
	if problem != "" {
		c.refuse(at, remedy, "has no address: by node_addr it is %s, but %s", quote(text), problem)
		return netip.Addr{}, false
	}
	if vip := s.Listen.Addr(); s.Listen.IsValid() && family(addr) != family(vip) && !s.Via.Tunnels() {
		c.refuse(at, "set node_addr to a variable with addresses of the VIP's family", "%s is %s and the VIP %s", addr, family(addr), family(vip))
		return netip.Addr{}, false
	}
	return addr, true
}

// others notes the addresses of all other nodes that have one by node_addr: any
// of them may hold the VIP, one that terminates nothing, too. This node needs
// one, or the others would not take what it sends on.
func (c *checker) others(p path, s *Service, self string) {
	if _, defined := c.s.Nodes[self]; defined && !slices.ContainsFunc(s.Nodes, func(n ServiceNode) bool { return n.Name == self }) {
		c.nodeAddr(p.key("node_addr"), s, self) // else it is reported with the others
	}
	for _, name := range slices.Sorted(maps.Keys(c.s.Nodes)) {
		text, missing := c.forNode(s.NodeAddr, name)
		addr, problem, _ := parseUnicast(text)
		switch {
		case missing != "" || problem != "":
		case name == self:
			s.Own = addr
		case !slices.Contains(s.Others, addr):
			s.Others = append(s.Others, addr)
		}
	}
}

// forNode replaces the variables of a template by the values of a node, or says
// which one it lacks.
func (c *checker) forNode(text, name string) (out, missing string) {
	out, _, _ = substitute(text, func(variable string) (string, bool) {
		c.variables.templated[variable] = true
		value, known := c.s.Nodes[name][variable]
		if !known {
			missing = variable
		}
		return value, known
	})
	return out, missing
}
