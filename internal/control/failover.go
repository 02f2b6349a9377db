package control

import (
	"encoding/json"
	"net/netip"
	"time"
)

// VIPState is what a gateway is for a virtual cluster.
type VIPState string

// The states, in the words of RFC 9568. Fault is a gateway that may not hold the
// VIPs, init one that does not yet know whether to.
const (
	VIPActive VIPState = "active"
	VIPBackup VIPState = "backup"
	VIPFault  VIPState = "fault"
	VIPInit   VIPState = "init"
)

// VIPStates are all of them.
var VIPStates = []VIPState{VIPActive, VIPBackup, VIPFault, VIPInit}

// VirtualClusterList is the answer of GET /v1/vips.
type VirtualClusterList struct {
	VirtualClusters List[VirtualCluster] `json:"virtual_clusters"`
}

// VirtualCluster is VIPs that move together, as this gateway sees them.
type VirtualCluster struct {
	Name string `json:"name"`
	// VRID is 1 to 255.
	VRID  uint8    `json:"vrid"`
	State VIPState `json:"state"`
	// Since is when State was entered, for Reason; Cause is the same as a word
	// of a small set, such as "peer_silent", for programs.
	Since  time.Time `json:"since"`
	Cause  string    `json:"cause"`
	Reason string    `json:"reason"`
	// Term numbers the changes of who is active; it only grows.
	Term     uint64   `json:"term"`
	Priority Priority `json:"priority"`
	// Preempt says that a higher priority takes the role back.
	Preempt bool `json:"preempt"`
	// Eligible says that this gateway may be active; Faults are why not, or what
	// lowers its priority.
	Eligible bool         `json:"eligible"`
	Faults   List[string] `json:"faults"`
	// Changes counts the changes of State by their cause.
	Changes  Counts            `json:"changes"`
	VIPs     List[VIP]         `json:"vips"`
	Peers    List[GatewayPeer] `json:"peers"`
	Segments List[Segment]     `json:"segments"`
	Pings    List[PingItem]    `json:"pings"`
	Links    List[Link]        `json:"links"`
	Sync     List[FlowSync]    `json:"sync"`
	// Alarms are what needs an operator; /v1/alarms and /v1/status have them too.
	Alarms List[ClusterAlarm] `json:"alarms"`
}

// Priority is a VRRP priority, 0 to 255: Base as the settings say, Effective as
// it is advertised.
type Priority struct {
	Base      uint8 `json:"base"`
	Effective uint8 `json:"effective"`
}

// VIP is one address of a virtual cluster.
type VIP struct {
	Addr      netip.Prefix `json:"addr"`
	Interface string       `json:"interface"`
	// MAC is the virtual one; empty where the interface's own is used.
	MAC string `json:"mac"`
	// Owner says that the dataplane of this gateway steers the VIP now.
	Owner bool `json:"owner"`
}

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
// the latest pings without one.
type PingHost struct {
	Addr netip.Addr `json:"addr"`
	OK   bool       `json:"ok"`
	RTT  Seconds    `json:"rtt_seconds"`
	Loss float64    `json:"loss"`
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
	// State is "connecting", "snapshot" or "synced".
	State string  `json:"state"`
	Lag   Seconds `json:"lag_seconds"`
	// Flows counts flows that were carried, Resyncs snapshots after the first.
	Flows   uint64 `json:"flows"`
	Resyncs uint64 `json:"resyncs"`
}

// ClusterAlarm is an alarm about one virtual cluster.
type ClusterAlarm struct {
	// Name is a word of a small set, such as "peer_silent".
	Name string `json:"name"`
	// Severity and Hint are as in [Alarm]; no severity is "warning".
	Severity string    `json:"severity"`
	Since    time.Time `json:"since"`
	Text     string    `json:"text"`
	Hint     string    `json:"hint"`
}

// Counts are counters by name.
type Counts map[string]uint64

// MarshalJSON implements [json.Marshaler]; no counters are {}, never null.
func (c Counts) MarshalJSON() ([]byte, error) {
	if c == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(map[string]uint64(c))
}

// VIPOrder is the body of POST /v1/vips/swap and /v1/vips/resign.
type VIPOrder struct {
	// Clusters names virtual clusters; with All it is empty.
	Clusters List[string] `json:"clusters"`
	All      bool         `json:"all"`
	// For is how long whoever is active by the order stays it, whatever the
	// priorities are; zero leaves that to them.
	For Duration `json:"for"`
	// Yes gives VIPs up even where no other gateway can take them.
	Yes bool `json:"yes"`
}

// VIPChangeList is the answer.
type VIPChangeList struct {
	Changes List[VIPChange] `json:"changes"`
}

// VIPChange is what an order did to one virtual cluster on this gateway.
type VIPChange struct {
	Cluster  string   `json:"cluster"`
	StateWas VIPState `json:"state_was"`
	State    VIPState `json:"state"`
	// Peer is who has the VIPs when this gateway has not, empty for nobody.
	Peer string `json:"peer"`
	// Until is the end of the order's For; null without.
	Until *time.Time `json:"until"`
}
