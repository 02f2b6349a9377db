package control

import "net/netip"

// ServiceList is the answer of GET /v1/services.
type ServiceList struct {
	Services List[Service] `json:"services"`
}

// Service is one VIP and port with what it steers to. Packets and bytes count
// what XDP accepted; bytes are IP total length; the out direction passes
// through the node in mode nat only.
type Service struct {
	Name   string         `json:"name"`
	Listen netip.AddrPort `json:"listen"`
	// Mode, ClientAddress and Select are the words of the settings.
	Mode          string `json:"mode"`
	ClientAddress string `json:"client_address"`
	Select        string `json:"select"`
	// Removed marks a service that left the settings while flows of it live.
	Removed  bool                `json:"removed"`
	Backends List[ServiceMember] `json:"backends"`

	PacketsIn            uint64 `json:"packets_in"`
	BytesIn              uint64 `json:"bytes_in"`
	PacketsOut           uint64 `json:"packets_out"`
	BytesOut             uint64 `json:"bytes_out"`
	FlowsOpened          uint64 `json:"flows_opened"`
	FlowsNow             uint64 `json:"flows_now"`
	FlowsNowIsUpperBound bool   `json:"flows_now_is_upper_bound"`
	SYNs                 uint64 `json:"syns"`
	// Refused counts new flows that were turned away.
	Refused uint64 `json:"refused"`
	// FlowsUnprotected counts flows that go by the ring alone because the
	// table was full.
	FlowsUnprotected uint64 `json:"flows_unprotected"`
	// NoReturnPath counts SYNs whose SYN-ACK never came back through the node.
	NoReturnPath uint64 `json:"no_return_path"`
	// FlowsRevived counts flows that went on after a FIN or reset that others
	// than their ends had sent.
	FlowsRevived uint64 `json:"flows_revived"`
	// RingEntries is 0 where every packet is looked up in the flow table. Else
	// RingInDoubt of them have their flows looked up, and the others' packets go
	// where the ring says. Moved ones may have flows of another backend, pending
	// ones handshakes and ends, refreshed ones are looked up in turn.
	RingEntries uint64 `json:"ring_entries"`
	RingInDoubt uint64 `json:"ring_in_doubt"`
	RingMoved   uint64 `json:"ring_moved"`
	RingPending uint64 `json:"ring_pending"`
	RingRefresh uint64 `json:"ring_refresh"`
	// ICMPErrors were sent on to who sent the packet they quote.
	ICMPErrors uint64 `json:"icmp_errors"`
}

// ServiceMember is one backend within one service.
type ServiceMember struct {
	Name     string         `json:"name"`
	Addr     netip.AddrPort `json:"addr"`
	State    BackendState   `json:"state"`
	Weight   int            `json:"weight"`
	FlowsNow uint64         `json:"flows_now"`
}
