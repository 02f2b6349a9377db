package view

import (
	"sluice/internal/control"
	"sluice/loader"
)

// dropTexts say what a drop reason means.
var dropTexts = map[string]string{
	"bad_header":      "The packet is shorter than its headers say, or its TCP header is malformed.",
	"length":          "The length in the IP header disagrees with the frame.",
	"ip_options":      "The packet has IP options, which are not steered.",
	"ipv6_extension":  "The packet has an IPv6 extension header, which is not steered.",
	"fragment":        "The packet is a fragment; it has no port to steer by.",
	"ttl":             "The packet has no hops left.",
	"not_owner":       "The VIP belongs to another gateway at present.",
	"no_backend":      "No backend of the service is up.",
	"unknown_flow":    "The packet belongs to no flow that is known.",
	"table_full":      "The flow table is full and the service cannot go without an entry.",
	"ports_exhausted": "No source port towards the backend is free: give the service more source_pool addresses.",
	"port_conflict":   "Another flow uses the same client address and port towards the backend.",
	"no_next_hop":     "The neighbour to send the packet to is not known, or does not answer.",
	"too_big":         "The packet, with its outer header, is larger than the MTU of the interface it leaves by; the sender was told which size fits.",
	"egress":          "The interface the packet leaves by is not one of dataplane.interfaces.",
	"vlan":            "The way out is on another VLAN than the packet came by.",
	"no_listener":     "Nothing on this node listens for the service.",
	"killed":          "The flow was ended by an operator, or its backend went down.",
	"denied":          "The sender is in a prefix of guard.deny.",
	"banned":          "The client is banned from new connections; see show bans.",
	"syn_rate":        "The client begins more connections than guard.syn_per_client allows.",
	"source_full":     "The client has as many flows as guard.flows_per_client allows.",
	"challenged":      "More handshakes begin than can be kept: an unknown source was asked to prove its address.",
	"challenge_met":   "The answer to such a question; its sender is let in at the next try.",
	"tcp_signature":   "The connection is signed (TCP-MD5 or TCP-AO), which rules a PROXY header out.",
	"internal":        "The program failed; this is a fault of sluice: please report it.",
	"too_big_untold":  "As too_big, but the sender was not told: the packet may be fragmented, or too many senders were told just now.",
	"congested":       "Another node sent the packet on inside another one, which met congestion that the ends of the packet, knowing no ECN, would not hear of.",
	"no_headroom":     "The driver leaves no room in front of the packet for an outer header: use another mode, or dataplane.xdp generic.",
}

// Drops are shown in their order. A reason of a program newer than this one is
// shown without a text.
func Drops(list []loader.DropCounter) []control.Drop {
	out := make([]control.Drop, 0, len(list))
	for _, d := range list {
		out = append(out, control.Drop{Reason: d.Reason, Packets: d.Packets, Bytes: d.Bytes, Text: dropTexts[d.Reason]})
	}
	return out
}
