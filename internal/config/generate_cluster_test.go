package config

import (
	"fmt"
	"net/netip"
	"time"
)

// failover adds virtual clusters, with the variables that they need.
func (s *Settings) failover(g generator) {
	if s.Nodes == nil {
		s.Nodes = map[string]map[string]string{}
	}
	for i, name := range []string{s.Node.Name, "gw-x", "gw-y"} {
		if s.Nodes[name] == nil {
			s.Nodes[name] = map[string]string{}
		}
		s.Nodes[name]["hb"] = fmt.Sprintf("169.254.1.%d", i)
		s.Nodes[name]["six"] = fmt.Sprintf("2001:db8:77::%d", i+1)
	}
	for i := range 1 + g.IntN(3) {
		s.VirtualClusters = append(s.VirtualClusters, g.cluster(i, s.Node.Name))
	}
}

// cluster returns the cluster of that number, with one to three nodes.
func (g generator) cluster(i int, self string) VirtualCluster {
	v := VirtualCluster{
		Name: pick(g, "off", "7", "edge") + fmt.Sprint(i), VRID: 1 + g.IntN(80) + i*80,
		Priority: map[string]int{self: 8 + g.IntN(247)}, Member: true, Version: 3,
		AdvertInterval: time.Duration(5+g.IntN(3995)) * 10 * time.Millisecond,
		Checksum:       pick(g, ChecksumPlain, ChecksumPseudoHeader),
		VirtualMAC:     pick(g, VirtualMACAuto, VirtualMACOff, VirtualMAC("02:00:c0:00:02:03")),
		Announce:       Announce{Repeat: 1 + g.IntN(32), Delay: g.span(0, time.Minute), Refresh: pick(g, 0, time.Second, 24*time.Hour)},
		NotifyTimeout:  30 * time.Second,
		Auth:           pick(g, Auth{Mode: AuthOff}, Auth{Mode: AuthEnforce, Send: 3, Keys: []AuthKey{{ID: 255, File: "/a b"}, {ID: 3, File: "/k"}}}),
	}
	v.OwnPriority = v.Priority[self]
	for _, name := range []string{"gw-x", "gw-y"}[:g.IntN(3)] {
		v.Priority[name] = 8 + g.IntN(247)
		v.Peers = append(v.Peers, Peer{Node: name, Priority: v.Priority[name]})
	}
	if g.IntN(3) == 0 {
		delete(v.Priority, self)
		v.Priority["gw-x"], v.Priority["gw-y"] = 7, 8
		v.Member, v.OwnPriority, v.Peers = false, 0, []Peer{{Node: "gw-x", Priority: 7}, {Node: "gw-y", Priority: 8}}
	}
	for j := range 1 + g.IntN(4) {
		v.VIPs = append(v.VIPs, VIP{netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(i), byte(j + 1)}), 20+g.IntN(9)), "ext0"})
	}
	v.VIPs = append(v.VIPs, VIP{netip.MustParsePrefix(fmt.Sprintf("2001:db8:9::%d/64", i+1)), "ext"})
	g.clusterTimes(&v)
	g.clusterLinks(&v)
	return v
}

// clusterTimes adds what only some have.
func (g generator) clusterTimes(v *VirtualCluster) {
	switch g.IntN(3) {
	case 0:
		v.Preempt, v.PreemptDelay = true, g.span(0, time.Hour)
	case 1:
		v.Version, v.Checksum, v.AdvertInterval = 2, "", time.Duration(1+g.IntN(40))*time.Second
		v.VIPs = v.VIPs[:1]
	}
	if g.IntN(2) == 0 {
		v.Notify, v.NotifyTimeout = []string{"/etc/x", "${a}", "yes", "a b"}, g.span(time.Second, time.Hour)
	}
}

// clusterLinks adds addresses, heartbeat and pings.
func (g generator) clusterLinks(v *VirtualCluster) {
	at := func(node, format string, from int) netip.Addr {
		for i, name := range []string{"", "gw-x", "gw-y"} {
			if name == node {
				return netip.MustParseAddr(fmt.Sprintf(format, i+from))
			}
		}
		panic("no such node")
	}
	if g.IntN(2) == 0 {
		v.Heartbeat = Heartbeat{
			Interface: "hb0", NodeAddr: "${hb}", Port: 1 + g.IntN(65534), FlowSyncPort: 1 + g.IntN(65535),
			Interval: g.span(minBeat, v.AdvertInterval), Timeout: g.span(2*maxAdvert, 5*time.Minute),
		}
		for i := range v.Peers {
			v.Peers[i].Heartbeat = at(v.Peers[i].Node, "169.254.1.%d", 0)
		}
		if v.Member {
			v.Heartbeat.Addr = at("", "169.254.1.%d", 0)
		}
	}
	if len(v.VIPs) > 1 && g.IntN(2) == 0 {
		a := ClusterAddr{Interface: v.VIPs[len(v.VIPs)-1].Interface, NodeAddr: "${six}"}
		for _, peer := range v.Peers {
			a.Peers = append(a.Peers, at(peer.Node, "2001:db8:77::%d", 1))
		}
		if v.Member {
			a.Addr = at("", "2001:db8:77::%d", 1)
		}
		v.Addrs = append(v.Addrs, a)
		if len(v.VIPs) == 2 {
			v.VIPs, v.Unicast = v.VIPs[1:], true
		}
	}
	for range g.IntN(3) {
		interval := g.span(minPing, time.Minute)
		v.Pings = append(v.Pings, Ping{
			Interface: "int0", Hosts: []netip.Addr{netip.MustParseAddr("198.51.100.22"), netip.MustParseAddr("fd00::1")}[:1+g.IntN(2)],
			Interval: interval, Timeout: g.span(minPing, interval), Fall: 1 + g.IntN(100), Rise: 1 + g.IntN(100),
		})
		v.PingSettle = g.span(30*time.Minute, time.Hour)
	}
}
