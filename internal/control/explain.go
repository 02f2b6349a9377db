package control

import "net/netip"

// Explanation is where a flow goes, and why: GET /v1/explain.
type Explanation struct {
	Client  netip.AddrPort `json:"client"`
	Listen  netip.AddrPort `json:"listen"`
	Service string         `json:"service"`
	Mode    string         `json:"mode"`
	// Verdict is what the program would do: "forward", "pass" to the host, or
	// "drop".
	Verdict string `json:"verdict"`
	// Reason is the drop reason, empty unless Verdict is "drop".
	Reason string `json:"reason"`
	// Backend and BackendAddr are where it goes; empty unless forwarded.
	Backend     string         `json:"backend"`
	BackendAddr netip.AddrPort `json:"backend_addr"`
	// KnownFlow says that the flow table decided, not the ring.
	KnownFlow bool `json:"known_flow"`
	// RingEntry is the entry the client falls on.
	RingEntry int `json:"ring_entry"`
	// Steps are the decisions in order, one sentence each.
	Steps List[string] `json:"steps"`
	// Program is what the packet program itself says, stage by stage.
	Program List[string] `json:"program"`
}
