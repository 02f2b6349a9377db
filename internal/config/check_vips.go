package config

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// clusterVIP is a virtual address of a cluster, by its name, and where it stands.
type clusterVIP struct {
	cluster *VirtualCluster
	at      path
}

// clusterVIPs checks the virtual addresses of one cluster, and notes them.
func (c *checker) clusterVIPs(p path, v *VirtualCluster, own map[netip.Addr]path) {
	for i, vip := range v.VIPs {
		at := p.key("vips").item(i).key("addr")
		if !vip.Addr.IsValid() {
			continue
		}
		addr := vip.Addr.Addr()
		if other, taken := c.vips[addr]; taken {
			c.refuse(at, "keep one of the two", "%s is already a virtual address, %s", addr, c.ref(other.at))
			continue
		}
		c.vips[addr] = clusterVIP{v, at}
		if v.Version == 2 && addr.Is6() {
			c.refuse(at, "use version 3", "%s is IPv6, which VRRP version 2 does not know", addr)
		}
		if node, differs := c.differs(at, addr, v); differs {
			c.refuse(at, "write the address itself", "is not the same for %s, and a virtual address is the nodes' common one", node)
		} else if variable, taken := own[addr]; taken {
			c.refuse(at, "a node keeps its own address, so use a third one", "%s is %s", addr, c.ref(variable))
		}
	}
}

// differs tells for which other node of the cluster a VIP is another one.
func (c *checker) differs(at path, addr netip.Addr, v *VirtualCluster) (node string, differs bool) {
	template, varies := c.templates[at]
	for _, peer := range v.Peers {
		if _, defined := c.s.Nodes[peer.Node]; !varies || !defined {
			continue
		}
		text, missing := c.forNode(template, peer.Node)
		if theirs, problem, _ := parseHostPrefix(text); missing != "" || problem != "" || theirs.Addr() != addr {
			return peer.Node, true
		}
	}
	return "", false
}

// ownValues are the addresses that nodes have for themselves: values of a
// variable that is not the same for all nodes that have it.
func (c *checker) ownValues() map[netip.Addr]path {
	own, values := map[netip.Addr]path{}, map[string]map[string]bool{}
	for _, variables := range c.s.Nodes {
		for name, value := range variables {
			if values[name] == nil {
				values[name] = map[string]bool{}
			}
			values[name][value] = true
		}
	}
	for _, node := range slices.Sorted(maps.Keys(c.s.Nodes)) {
		for _, name := range slices.Sorted(maps.Keys(c.s.Nodes[node])) {
			host, _, _ := strings.Cut(c.s.Nodes[node][name], "/")
			if addr, err := netip.ParseAddr(host); err == nil && len(values[name]) > 1 {
				own[addr] = path("nodes").key(node).key(name)
			}
		}
	}
	return own
}

// vrids reports virtual routers that no one could tell apart.
func (c *checker) vrids() {
	type router struct {
		name, family string
		vrid         int
	}
	first := map[router]int{}
	for i, v := range c.s.VirtualClusters {
		for _, vip := range v.VIPs {
			if !vip.Addr.IsValid() || vip.Interface == "" || v.VRID == 0 {
				continue
			}
			r := router{vip.Interface, family(vip.Addr.Addr()), v.VRID}
			if before, taken := first[r]; taken && before != i {
				at := path("virtual_clusters").item(i).key("vrid")
				c.refuse(at, "choose another, or make the two one cluster", "%d is also the number of %s, for %s on %s",
					v.VRID, c.ref(path("virtual_clusters").item(before).key("vrid")), r.family, r.name)
				break
			}
			first[r] = i
		}
	}
}

// clusterInterfaces checks that the cluster is on as many interfaces on each of
// its nodes, where their names are not the same.
func (c *checker) clusterInterfaces(p path, v *VirtualCluster) {
	for _, peer := range v.Peers {
		if _, defined := c.s.Nodes[peer.Node]; !defined {
			continue
		}
		theirs, ours := map[string]string{}, map[string]string{}
		for i, vip := range v.VIPs {
			at := p.key("vips").item(i).key("interface")
			name, ok := c.interfaceFor(at, vip.Interface, peer.Node)
			if !ok {
				continue
			}
			if own, known := ours[name]; known && own != vip.Interface {
				c.refuse(at, "use interfaces that are as many on each node", "is %s on %s, as %s is, which are two interfaces here", name, peer.Node, own)
			} else if their, known := theirs[vip.Interface]; known && their != name {
				c.refuse(at, "use interfaces that are as many on each node", "%s is one interface here, but both %s and %s on %s", vip.Interface, their, name, peer.Node)
			}
			ours[name], theirs[vip.Interface] = vip.Interface, name
		}
		for i, ping := range v.Pings {
			c.interfaceFor(p.key("pings").item(i).key("interface"), ping.Interface, peer.Node)
		}
		for i, a := range v.Addrs {
			c.interfaceFor(p.key("addrs").item(i).key("interface"), a.Interface, peer.Node)
		}
		c.interfaceFor(p.key("heartbeat").key("interface"), v.Heartbeat.Interface, peer.Node)
	}
}

// interfaceFor is the name that an interface has on another node, where it is
// own here; what is wrong with it is reported.
func (c *checker) interfaceFor(at path, own, node string) (name string, ok bool) {
	template, varies := c.templates[at]
	if !varies || own == "" {
		return own, own != ""
	}
	text, missing := c.forNode(template, node)
	if missing != "" {
		c.refuse(at, "define it there", "uses ${%s}, which %s does not define", missing, path("nodes").key(node))
		return "", false
	}
	name, problem, remedy := interfaceName.parse(text)
	if problem != "" {
		c.refuse(at, remedy, "is %s on %s, but %s", quote(text), node, problem)
	}
	return name, problem == ""
}

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
