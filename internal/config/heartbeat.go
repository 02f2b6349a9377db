package config

import (
	"net/netip"
	"time"
)

// Limits of the intervals of adverts, and so of heartbeats: what version 3 can
// say is 10ms to 40.95s.
const (
	minAdvert = 50 * time.Millisecond
	maxAdvert = 40 * time.Second
	minBeat   = minAdvert / 2
)

// Heartbeat is a link of the nodes' own on which they tell each other how they
// are. Flow sync takes the same way.
type Heartbeat struct {
	Interface string
	// NodeAddr is the address of each node as the file has it: ${name} in it is the
	// node's own. Addr is that of this node, not valid where it is no member.
	NodeAddr string
	Addr     netip.Addr
	// Peer is the address of the other of two nodes where the file gives it; who
	// wants it asks VirtualCluster.Peers.
	Peer netip.Addr
	// Port is that of UDP, FlowSyncPort that of TCP on the same address.
	Port, FlowSyncPort int
	// Interval is the time between two messages, 25ms to AdvertInterval, and Timeout how long
	// without one until the peer counts as silent, at least twice that, up to 5m.
	Interval, Timeout time.Duration
}

// Enabled says that there is a heartbeat link.
func (h Heartbeat) Enabled() bool { return h.Interface != "" }

var heartbeatShape = record[Heartbeat]{
	noun:     "a mapping about the heartbeat",
	doc:      "A link of the nodes' own beside the networks they serve.",
	defaults: defaults.VirtualCluster.Heartbeat,
	fields: []field[Heartbeat]{
		key("interface", "Interface of the link.",
			func(h *Heartbeat) *string { return &h.Interface }, interfaceName).must(),
		key[Heartbeat, string]("addr", "Address of each node on the link, where ${name} is that node's own variable.",
			func(h *Heartbeat) *string { return &h.NodeAddr }, template{example: `"${heartbeat_addr}"`}).must(),
		key("peer", "Address of the other of two nodes.",
			func(h *Heartbeat) *netip.Addr { return &h.Peer }, optionalAddress()).
			otherwise("addr of that node; for an addr without variables the one that differs in its last bit"),
		key("port", "UDP port of the messages.",
			func(h *Heartbeat) *int { return &h.Port }, integer(1, 65534)),
		key("interval", "Time between two messages.",
			func(h *Heartbeat) *time.Duration { return &h.Interval }, duration(minBeat, maxAdvert)).otherwise("half of advert_interval"),
		key("timeout", "How long without a message until the other node counts as silent, at least twice the interval.",
			func(h *Heartbeat) *time.Duration { return &h.Timeout }, duration(2*minBeat, 5*time.Minute)).otherwise("three times the interval"),
		key("flow_sync_port", "TCP port of flow sync on the same address.",
			func(h *Heartbeat) *int { return &h.FlowSyncPort }, integer(1, 65535)).otherwise("port + 1"),
	},
}
