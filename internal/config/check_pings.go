package config

import (
	"net/netip"
	"time"
)

// pings checks what is to answer: it must be neither the cluster itself, which
// would follow the role, nor one of its nodes, whose loss is no fault of ours.
func (c *checker) pings(p path, v *VirtualCluster) {
	settle := p.key("ping_settle")
	if len(v.Pings) == 0 {
		c.idle(settle, "without pings")
		v.PingSettle = 0
		return
	}
	nodes := v.addresses()
	least, known := time.Duration(0), v.Heartbeat.Timeout != 0 || !c.given(p.key("heartbeat"))
	for i, ping := range v.Pings {
		hosts := p.key("pings").item(i).key("hosts")
		c.noRepeats(hosts, len(ping.Hosts), func(j int) string {
			if !ping.Hosts[j].IsValid() {
				return ""
			}
			return ping.Hosts[j].String()
		})
		for j, host := range ping.Hosts {
			if vip, taken := c.vips[host]; taken {
				c.refuse(hosts.item(j), "ping a router or switch that is always up", "%s is a virtual address, %s, which follows the role", host, c.ref(vip.at))
			} else if name, own := nodes[host]; own {
				c.refuse(hosts.item(j), "ping a router or switch that is always up", "%s is an address of %s, a node of the cluster", host, name)
			}
		}
		if ping.Interval != 0 && ping.Timeout > ping.Interval {
			c.refuse(p.key("pings").item(i).key("timeout"), "make it at most the interval, and fall larger", "%s is longer than the interval of %s, so that two requests would be under way",
				formatDuration(ping.Timeout), formatDuration(ping.Interval))
		}
		known = known && ping.Interval != 0 && ping.Timeout != 0
		least = max(least, ping.Interval+ping.Timeout)
	}
	least += v.Heartbeat.Timeout
	switch {
	case !known:
	case !c.given(settle):
		v.PingSettle = least
	case v.PingSettle != 0 && v.PingSettle < least:
		c.refuse(settle, "make it at least "+formatDuration(least),
			"%s is less than the longest interval and timeout of a ping and the heartbeat's timeout, so the end of a common outage would move the role",
			formatDuration(v.PingSettle))
	}
}

// addresses are the own addresses of the nodes of a cluster as far as it names
// them, with the names of the nodes.
func (v *VirtualCluster) addresses() map[netip.Addr]string {
	const self = "this node"
	known := map[netip.Addr]string{v.Heartbeat.Addr: self}
	for _, a := range v.Addrs {
		known[a.Addr] = self
		for i, addr := range a.Peers {
			known[addr] = v.Peers[i].Node
		}
	}
	for _, peer := range v.Peers {
		known[peer.Heartbeat] = peer.Node
	}
	delete(known, netip.Addr{})
	return known
}
