package flowsync

import "context"

// Table is the flow table of this node. Its methods may be called from many
// goroutines at once.
type Table interface {
	// Each calls visit with all flows, some thousands at a time, in any order,
	// until it returns an error, which Each returns, or ctx ends. What it hands over
	// was read after the visit before returned, and is not used afterwards. Flows
	// that come or go meanwhile may be missed.
	Each(ctx context.Context, visit func([]Flow) error) error
	// Lookup returns the flows of keys as they are now, in any order and without
	// those that are not there. A table that tells of a change when a PROXY header
	// is closed may leave out, here and in Each, flows whose header is open.
	Lookup(keys []Key) ([]Flow, error)
	// Import makes flows be as they are told, also where there are others of the
	// same keys; an age is all that differs in a flow that is refreshed. What
	// cannot be taken over is skipped and counted. After an error some may be
	// imported.
	Import(flows []Flow) (Result, error)
	// Remove removes the flows of keys; those that are not there are no failure.
	Remove(keys []Key) error
}

// Skip is why a flow was not imported.
type Skip string

// The reasons. What the settings here decide is asked for again once they
// change.
const (
	// SkipVIP: the VIP is not of the cluster that it was told for.
	SkipVIP Skip = "vip"
	// SkipService and SkipBackend: unknown here, by the settings.
	SkipService Skip = "service"
	SkipBackend Skip = "backend"
	// SkipMode: the service is in another mode here.
	SkipMode Skip = "mode"
	// SkipSource: the source address is not of the service's pool here, or another
	// flow has the port.
	SkipSource Skip = "source"
	// SkipFull: there is no room.
	SkipFull Skip = "full"
	// SkipOther: anything else that the table says no to.
	SkipOther Skip = "other"
)

// Result is what became of flows.
type Result struct {
	Imported int
	Skipped  map[Skip]int
}
