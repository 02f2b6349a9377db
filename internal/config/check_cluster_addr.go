package config

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// members are the names of the nodes of a cluster, in alphabetical order.
func (v *VirtualCluster) members() []string { return slices.Sorted(maps.Keys(v.Priority)) }

// memberAddrs are the addresses that a template gives the nodes of a cluster,
// by name. What is wrong with one is reported, and it is left out.
func (c *checker) memberAddrs(at path, template string, v *VirtualCluster) map[string]netip.Addr {
	addrs, holder, first := map[string]netip.Addr{}, map[netip.Addr]string{}, netip.Addr{}
	if c.s.Nodes == nil && c.given("nodes") || c.variables.node() == "" {
		return addrs // the reason is reported there
	}
	for _, name := range v.members() {
		if _, defined := c.s.Nodes[name]; !defined && name != c.variables.node() {
			continue // reported with the priorities
		}
		text, missing := c.forNode(template, name)
		if missing != "" {
			c.refuse(at, "define it there", "uses ${%s}, which %s does not define", missing, path("nodes").key(name))
			continue
		}
		if text == "" {
			continue // the variable's value is a fault of its own
		}
		addr, problem, remedy := parseUnicast(text)
		switch other, taken := holder[addr]; {
		case problem != "":
			c.refuse(at, remedy, "is %s for %s, but %s", quote(text), name, problem)
			continue
		case taken:
			c.refuse(at, "use a variable that each node has its own value of", "is %s for both %s and %s", addr, other, name)
			continue
		case first.IsValid() && family(first) != family(addr):
			c.refuse(at, "use a variable with addresses of one family", "is %s for %s and %s for another", family(addr), name, family(first))
			continue
		}
		first, holder[addr], addrs[name] = addr, name, addr
	}
	return addrs
}

// clusterAddrs checks the own addresses of the nodes, and finds them.
func (c *checker) clusterAddrs(p path, v *VirtualCluster) {
	type network struct {
		name, family string
	}
	first, reported := map[network]path{}, false
	for i := range v.Addrs {
		a, at := &v.Addrs[i], p.key("addrs").item(i)
		if a.NodeAddr == "" || a.Interface == "" {
			reported = true
			continue
		}
		addrs := c.memberAddrs(at.key("addr"), a.NodeAddr, v)
		a.Addr = addrs[c.variables.node()]
		of := ""
		for _, addr := range addrs {
			of = family(addr)
			c.ownVIP(at.key("addr"), addr)
		}
		reported = reported || len(addrs) < len(v.Priority)
		for _, peer := range v.Peers {
			a.Peers = append(a.Peers, addrs[peer.Node])
		}
		if !slices.ContainsFunc(v.VIPs, func(vip VIP) bool { return vip.Interface == a.Interface }) && len(v.VIPs) > 0 {
			c.refuse(at.key("interface"), "remove it, or name one that has some", "no virtual address of the cluster is on %s", a.Interface)
		}
		n := network{a.Interface, of}
		if before, taken := first[n]; taken && of != "" {
			c.refuse(at, "keep one of the two", "is a second %s address on %s, beside %s", of, a.Interface, c.ref(before))
			continue
		}
		first[n] = at
		c.subnet(p, v, a)
	}
	for i, vip := range v.VIPs {
		if !v.Unicast || reported || !vip.Addr.IsValid() || vip.Interface == "" {
			continue
		}
		n := network{vip.Interface, family(vip.Addr.Addr())}
		if _, known := first[n]; !known {
			first[n] = p
			c.refuse(p.key("unicast"), `add such as {interface: `+vip.Interface+`, addr: "${ext_addr}"} to addrs`,
				"needs the %s addresses of the nodes on %s, for %s", n.family, n.name, c.ref(p.key("vips").item(i)))
		}
	}
}

// subnet warns of VIPs whose network is not the one of this node.
func (c *checker) subnet(p path, v *VirtualCluster, a *ClusterAddr) {
	for i, vip := range v.VIPs {
		same := vip.Addr.IsValid() && a.Addr.IsValid() && vip.Interface == a.Interface && family(vip.Addr.Addr()) == family(a.Addr)
		if same && !vip.Addr.IsSingleIP() && !vip.Addr.Contains(a.Addr) {
			at := p.key("vips").item(i).key("addr")
			c.warn(c.place(at), at, "check the length of the prefix and the interface", "%s is of another network than %s, this node's address on %s", vip.Addr, a.Addr, a.Interface)
		}
	}
}

// ownVIP reports a node's own address that is also a VIP.
func (c *checker) ownVIP(at path, addr netip.Addr) {
	if other, taken := c.vips[addr]; taken {
		c.refuse(at, "a node keeps its own address, so use another for one of them", "%s is the virtual address of %s", addr, c.ref(other.at))
	}
}

// literal says that a template is the same for each node.
func literal(template string) bool { return !strings.Contains(template, "${") }
