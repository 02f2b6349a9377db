package control

import (
	"net/netip"
	"time"
)

// EventKind is what happened.
type EventKind string

// The kinds of events. Gap says that this subscriber was too slow and Lost
// events are missing at this place.
const (
	EventFlowEstablished EventKind = "flow_established"
	EventFlowClosed      EventKind = "flow_closed"
	EventFlowRevived     EventKind = "flow_revived"
	EventFlowRefused     EventKind = "flow_refused"
	EventBackendState    EventKind = "backend_state"
	EventDrainProgress   EventKind = "drain_progress"
	EventGap             EventKind = "gap"
)

// Event is one element of the stream GET /v1/events. Of the pointers the one
// that fits the kind is set.
type Event struct {
	// Seq numbers the events of one run of the node from 1, those a
	// subscriber did not ask for included.
	Seq     uint64        `json:"seq"`
	Time    time.Time     `json:"time"`
	Kind    EventKind     `json:"kind"`
	Flow    *FlowEvent    `json:"flow,omitempty"`
	Backend *BackendEvent `json:"backend,omitempty"`
	// Lost counts the missing events of a gap.
	Lost uint64 `json:"lost,omitempty"`
}

// FlowEvent is a flow that was established, closed or refused.
type FlowEvent struct {
	Client  netip.AddrPort `json:"client"`
	Listen  netip.AddrPort `json:"listen"`
	Service string         `json:"service"`
	Backend string         `json:"backend"`
	// Reason is the drop reason of a refused flow.
	Reason string `json:"reason"`
	// Connection is the id in the flow's PROXY v2 header, empty without one.
	Connection string `json:"connection,omitempty"`
}

// BackendEvent is a change of state or a step of a drain.
type BackendEvent struct {
	Name     string         `json:"name"`
	Addr     netip.AddrPort `json:"addr"`
	Services List[string]   `json:"services"`
	StateWas BackendState   `json:"state_was"`
	State    BackendState   `json:"state"`
	Reason   string         `json:"reason"`
	// FlowsNow and FlowsSilent are what a drain still waits for.
	FlowsNow    uint64 `json:"flows_now"`
	FlowsSilent uint64 `json:"flows_silent"`
}

// EventFilter says which events a subscriber wants. Zero fields do not filter;
// Service and Backend are names.
type EventFilter struct {
	Kinds   []EventKind
	Service string
	Backend string
}
