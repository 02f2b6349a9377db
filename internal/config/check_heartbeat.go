package config

import (
	"net/netip"
	"slices"
)

// heartbeat checks the heartbeat link of the cluster at of, and finds the
// addresses of the nodes on it.
func (c *checker) heartbeat(of path, v *VirtualCluster) {
	h, p := &v.Heartbeat, of.key("heartbeat")
	if !c.given(p) {
		*h = Heartbeat{}
		return
	}
	c.heartbeatTimes(p, v)
	if !c.given(p.key("flow_sync_port")) && h.Port != 0 {
		h.FlowSyncPort = h.Port + 1
	}
	if h.NodeAddr == "" {
		return // reported where it is read
	}
	addrs := c.heartbeatAddrs(p, v)
	h.Addr = addrs[c.variables.node()]
	for i := range v.Peers {
		v.Peers[i].Heartbeat = addrs[v.Peers[i].Node]
	}
	for _, name := range v.members() {
		if addr, known := addrs[name]; known {
			c.ownVIP(p.key("addr"), addr)
		}
	}
	if i := slices.IndexFunc(v.VIPs, func(vip VIP) bool { return vip.Interface == h.Interface }); i >= 0 && h.Interface != "" {
		at := p.key("interface")
		c.warn(c.place(at), at, "use a link of its own", "%s also has %s, so one cable cuts both", h.Interface, c.ref(of.key("vips").item(i)))
	}
}

// heartbeatAddrs are the addresses of the nodes on the heartbeat link, by name.
// Two nodes whose addresses differ in the last bit alone need no variable: each
// knows the other's by its own.
func (c *checker) heartbeatAddrs(p path, v *VirtualCluster) map[string]netip.Addr {
	h, self := v.Heartbeat, c.variables.node()
	switch {
	case self == "":
		return nil // the reason is reported where it stands
	case h.Peer.IsValid() && len(v.Priority) != 2:
		c.refuse(p.key("peer"), "remove it, and use a variable in addr", "means nothing but with two nodes")
		return nil
	case len(v.Priority) == 1 || !literal(h.NodeAddr) && !h.Peer.IsValid():
		return c.memberAddrs(p.key("addr"), h.NodeAddr, v)
	case !v.Member:
		return nil
	case len(v.Priority) > 2:
		c.refuse(p.key("addr"), `use a variable, such as "${heartbeat_addr}", and define it for each node`, "is the same for %d nodes", len(v.Priority))
		return nil
	}
	alone := VirtualCluster{Priority: map[string]int{self: v.OwnPriority}}
	addrs := c.memberAddrs(p.key("addr"), h.NodeAddr, &alone)
	own, known := addrs[self]
	if !known {
		return nil
	}
	peer, at := h.Peer, p.key("peer")
	if !c.given(at) {
		peer, at = lastBit(own), p.key("addr")
	}
	if !peer.IsValid() {
		return nil // reported where it is read
	}
	switch _, problem, _ := parseUnicast(peer.String()); {
	case problem != "":
		c.refuse(at, "give it as peer", "the other node's address would differ in the last bit, but %s", problem)
	case peer == own:
		c.refuse(at, "write the other node's", "%s is this node's own address", peer)
	case family(peer) != family(own):
		c.refuse(at, "use one of the same family", "%s is %s and this node's %s %s", peer, family(peer), own, family(own))
	default:
		addrs[v.Peers[0].Node] = peer
	}
	return addrs
}

// lastBit is the address that differs in its last bit alone.
func lastBit(a netip.Addr) netip.Addr {
	b := a.AsSlice()
	b[len(b)-1] ^= 1
	other, _ := netip.AddrFromSlice(b) // as long as it was
	return other
}

// heartbeatTimes fills in the times that follow from the adverts', and checks
// that they fit together.
func (c *checker) heartbeatTimes(p path, v *VirtualCluster) {
	h := &v.Heartbeat
	if !c.given(p.key("interval")) {
		h.Interval = v.AdvertInterval / 2
	}
	at := p.key("timeout")
	if !c.given(at) {
		h.Timeout = 3 * h.Interval
	}
	if h.Timeout == 0 || h.Interval == 0 {
		return
	}
	if v.AdvertInterval > 0 && h.Interval > v.AdvertInterval {
		c.refuse(p.key("interval"), "make it at most advert_interval", "%s is longer than advert_interval, %s: an active node must know within one whether it reaches anybody",
			formatDuration(h.Interval), formatDuration(v.AdvertInterval))
	}
	if h.Timeout < 2*h.Interval {
		c.refuse(at, "make it at least twice the interval, so that one may be lost", "%s is less than twice the interval of %s",
			formatDuration(h.Timeout), formatDuration(h.Interval))
	} else if down := 4 * v.AdvertInterval; down > 0 && h.Timeout > down {
		c.warn(c.place(at), at, "make it shorter, or advert_interval longer", "a silent node is known by %s, but adverts alone would tell within %s",
			formatDuration(h.Timeout), formatDuration(down))
	}
}
