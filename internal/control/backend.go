package control

import (
	"net/netip"
	"time"
)

// BackendState is what a backend takes.
type BackendState string

// The states. Down comes from health checks alone, draining and disabled from
// the operator and hide down. Removed is a backend that left the settings
// while flows of it live.
const (
	StateUp       BackendState = "up"
	StateDown     BackendState = "down"
	StateDraining BackendState = "draining"
	StateDisabled BackendState = "disabled"
	StateRemoved  BackendState = "removed"
)

// BackendList is the answer of GET /v1/backends.
type BackendList struct {
	Backends List[Backend] `json:"backends"`
}

// Backend is one host and port with its one state and its one counter line,
// however many services name it. The first eleven fields are what scripts rely
// on; they are never renamed.
type Backend struct {
	Name        string         `json:"name"`
	Addr        netip.AddrPort `json:"addr"`
	State       BackendState   `json:"state"`
	Weight      int            `json:"weight"`
	PacketsIn   uint64         `json:"packets_in"`
	BytesIn     uint64         `json:"bytes_in"`
	PacketsOut  uint64         `json:"packets_out"`
	BytesOut    uint64         `json:"bytes_out"`
	FlowsOpened uint64         `json:"flows_opened"`
	FlowsNow    uint64         `json:"flows_now"`
	SessionsNow uint64         `json:"sessions_now"`

	// Services are the names of the services that steer to it.
	Services List[string] `json:"services"`
	// Since is when it entered the state.
	Since time.Time `json:"since"`
	// Reason says why it is in a state other than up, in words for people.
	Reason string `json:"reason"`
	// Health is "passing", "failing", "unknown" before the first result, or
	// "off".
	Health string `json:"health"`
	// FlowsNowIsUpperBound says that the node sees one direction only, so
	// flows that ended behind it may still count.
	FlowsNowIsUpperBound bool `json:"flows_now_is_upper_bound"`
	// FlowsSilent are those of FlowsNow without a packet for 15 minutes.
	FlowsSilent uint64 `json:"flows_silent"`
	// Deadline is when a drain resets what is left; null without one.
	Deadline *time.Time `json:"deadline"`
	SYNs     uint64     `json:"syns"`
	Resets   uint64     `json:"resets"`
}

// Selection says which backends an order is for. Exactly one of Backends and
// All is given.
type Selection struct {
	// Backends are names or addr:port. On the wire each may be a node set such
	// as blue[1-4]; a [Drainer] gets them expanded, without duplicates.
	Backends []string `json:"backends,omitempty"`
	// All means every backend that the settings name.
	All bool `json:"all,omitempty"`
	// Service narrows the selection to backends that this service steers to.
	// The state of a backend is one: it changes for all its services.
	Service string `json:"service,omitempty"`
}

// DrainOptions say when a drain ends by force.
type DrainOptions struct {
	// Deadline resets what is left after it; 0 waits for ever.
	Deadline Duration `json:"deadline,omitempty"`
	// IdleDone counts a flow without a packet for that long as ended, for
	// modes in which the node cannot see a backend close; 0 means never.
	IdleDone Duration `json:"idle_done,omitempty"`
	// Yes allows a service to be left with no backend that is up.
	Yes bool `json:"yes,omitempty"`
}

// DrainRequest is the body of POST /v1/backends/drain.
type DrainRequest struct {
	Selection
	DrainOptions
}

// DisableRequest is the body of POST /v1/backends/disable.
type DisableRequest struct {
	Selection
	Yes bool `json:"yes,omitempty"`
}

// EnableRequest is the body of POST /v1/backends/enable.
type EnableRequest struct {
	Selection
}

// WeightRequest is the body of POST /v1/backends/weight. Weight must be given.
type WeightRequest struct {
	Selection
	Weight *int `json:"weight"`
	Yes    bool `json:"yes,omitempty"`
}

// ChangeList is the answer to an order about backends.
type ChangeList struct {
	Changes List[BackendChange] `json:"changes"`
}

// BackendChange is what an order did to one backend.
type BackendChange struct {
	Name      string         `json:"name"`
	Addr      netip.AddrPort `json:"addr"`
	Services  List[string]   `json:"services"`
	StateWas  BackendState   `json:"state_was"`
	State     BackendState   `json:"state"`
	WeightWas int            `json:"weight_was"`
	Weight    int            `json:"weight"`
	FlowsNow  uint64         `json:"flows_now"`
}

// Changed reports whether the order made a difference.
func (c BackendChange) Changed() bool {
	return c.StateWas != c.State || c.WeightWas != c.Weight
}
