package control

import (
	"net/netip"
	"time"
)

// Limits of one page of flows.
const (
	DefaultFlowLimit = 100
	MaxFlowLimit     = 10000
)

// FlowState is where a flow stands.
type FlowState string

// The states of a flow. Young is a handshake seen from one side only and not
// yet proven by a later packet.
const (
	FlowYoung       FlowState = "young"
	FlowEstablished FlowState = "established"
	FlowHalfClosed  FlowState = "half_closed"
	FlowClosed      FlowState = "closed"
)

// FlowSort is what a list of flows is ordered by, the least first; equal ones
// follow by client.
type FlowSort string

// The orders of a list of flows.
const (
	SortClient  FlowSort = "client"
	SortBackend FlowSort = "backend"
	SortAge     FlowSort = "age"
	SortIdle    FlowSort = "idle"
)

// FlowQuery says which flows are wanted, in which order, and which part of
// them. Zero fields do not filter.
type FlowQuery struct {
	Service string
	// Backend is a name or addr:port.
	Backend string
	// Client is the network the client's address is in; a single address is
	// the network of its full length.
	Client netip.Prefix
	State  FlowState
	// MinIdle keeps flows without a packet for at least that long.
	MinIdle time.Duration
	// Sort is what to order by, SortClient by default; Descending turns it.
	Sort       FlowSort
	Descending bool
	// Offset skips flows, Limit bounds the page. Flows that come and go
	// between two pages may be skipped or seen twice.
	Offset, Limit int
}

// FlowPage is the answer of GET /v1/flows.
type FlowPage struct {
	Flows List[Flow] `json:"flows"`
	// Total counts all flows that match, Offset those before this page.
	Total  int `json:"total"`
	Offset int `json:"offset"`
	// AsOf is when the index was made that the page was read from.
	AsOf time.Time `json:"as_of"`
}

// Flow is one TCP connection bound to a backend.
type Flow struct {
	Client      netip.AddrPort `json:"client"`
	Listen      netip.AddrPort `json:"listen"`
	Service     string         `json:"service"`
	Backend     string         `json:"backend"`
	BackendAddr netip.AddrPort `json:"backend_addr"`
	// Source is the address and port the backend sees: the client's own, or
	// one of the source pool.
	Source netip.AddrPort `json:"source"`
	State  FlowState      `json:"state"`
	Age    Seconds        `json:"age_seconds"`
	// Idle is the time since the last packet, in steps of about a second.
	Idle Seconds `json:"idle_seconds"`
	// Connection is the id in the flow's PROXY v2 header, empty without one.
	Connection string `json:"connection"`
}
