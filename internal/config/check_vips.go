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
