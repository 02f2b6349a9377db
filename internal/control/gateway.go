package control

import "net/netip"

// GatewayPeer is another gateway of a virtual cluster, as its heartbeat says.
type GatewayPeer struct {
	Node string         `json:"node"`
	Addr netip.AddrPort `json:"addr"`
	// State, Priority, Effective, PingsOK, Version and Generation are what it
	// said last, empty before it said anything.
	State     VIPState `json:"state"`
	Priority  uint8    `json:"priority"`
	Effective uint8    `json:"effective"`
	// Alive says that it is heard, Age how long ago it was, HearsUs that it says
	// it hears this gateway.
	Alive   bool    `json:"alive"`
	Age     Seconds `json:"age_seconds"`
	HearsUs bool    `json:"hears_us"`
	// LossIn and LossOut are the parts, 0 to 1, of the latest heartbeats of the
	// peer and of ours that were lost.
	LossIn  float64 `json:"loss_in"`
	LossOut float64 `json:"loss_out"`
	PingsOK bool    `json:"pings_ok"`
	// Synced says that it has our flows.
	Synced     bool   `json:"synced"`
	Version    string `json:"version"`
	Generation uint64 `json:"generation"`
}

// Segment is where adverts are sent and heard: an interface in one family.
type Segment struct {
	Interface string `json:"interface"`
	// Family is "ipv4" or "ipv6".
	Family     string `json:"family"`
	AdvertsIn  uint64 `json:"adverts_in"`
	AdvertsOut uint64 `json:"adverts_out"`
	// OtherChecksum counts adverts that were believed although their checksum is
	// made in the other way: their sender may refuse ours.
	OtherChecksum uint64 `json:"other_checksum"`
	// Refused counts adverts that were not believed, by why.
	Refused Counts `json:"refused"`
	// ActiveAddr is who is active there by the last advert; zero for nobody.
	ActiveAddr netip.Addr `json:"active_addr"`
}

// PingItem is hosts on one interface that fail only together.
type PingItem struct {
	Interface string         `json:"interface"`
	OK        bool           `json:"ok"`
	Hosts     List[PingHost] `json:"hosts"`
}

// PingHost is one of them. RTT is of its last answer, Loss the part, 0 to 1, of
// the latest pings without one, Flaps how often it went silent.
type PingHost struct {
	Addr  netip.Addr `json:"addr"`
	OK    bool       `json:"ok"`
	RTT   Seconds    `json:"rtt_seconds"`
	Loss  float64    `json:"loss"`
	Flaps uint64     `json:"flaps"`
}

// Link is an interface that carries VIPs, and whether it has a carrier.
type Link struct {
	Interface string `json:"interface"`
	Up        bool   `json:"up"`
}

// FlowSync is one direction of the flow sync with a peer.
type FlowSync struct {
	Peer string `json:"peer"`
	// Direction is "in" or "out".
	Direction string `json:"direction"`
	// State is "connecting", "snapshot", "synced", "refused", or "not whole" where the
	// active gateway lacks flows that the peer may have.
	State string  `json:"state"`
	Lag   Seconds `json:"lag_seconds"`
	// Flows counts flows that were carried, Resyncs snapshots after the first.
	Flows   uint64 `json:"flows"`
	Resyncs uint64 `json:"resyncs"`
}
