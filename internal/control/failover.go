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
