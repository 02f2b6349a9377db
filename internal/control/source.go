package control

import (
	"context"
	"net/netip"
)

// The interfaces below are what the server needs of the node. Every method may
// be called from many goroutines at once, answers from what the node already
// knows without stalling the dataplane, returns promptly once ctx is done, and
// returns values that nobody changes afterwards.
//
// An error built with [NewError] reaches the operator as it is, with its
// status code and hint; any other error is answered as [CodeInternal].

// A StatusSource tells how the node and its companions are.
type StatusSource interface {
	// Status returns the state of this node.
	Status(ctx context.Context) (Status, error)
	// Nodes returns every node the settings name, this one included, by name.
	Nodes(ctx context.Context) ([]Node, error)
}

// A CounterSource reads what is steered and what was counted. The counters
// never go backwards, over restarts of the node included.
type CounterSource interface {
	// Services returns one element per service, in the order of the settings;
	// services that left the settings while flows of theirs live come last.
	Services(ctx context.Context) ([]Service, error)
	// Backends returns one element per backend address and port, by name. A
	// backend that several services name is one element.
	Backends(ctx context.Context) ([]Backend, error)
	// Drops returns every drop reason the program knows, zeros included, in
	// the program's own order.
	Drops(ctx context.Context) ([]Drop, error)
}

// A FlowSource lists living flows.
type FlowSource interface {
	// Flows returns the part of the matching flows that q asks for, from the
	// index of the last sweep. q is valid: Limit is 1 to [MaxFlowLimit], and
	// Sort is one of the constants. A service or backend that nobody knows
	// matches nothing; it is no error.
	Flows(ctx context.Context, q FlowQuery) (FlowPage, error)
}

// A Drainer carries out the operator's orders about backends. The states it
// sets hold over restarts. Each method is all or nothing: on error no backend
// has changed.
//
// A Selection that names an unknown backend or service is answered with
// [CodeNotFound] naming it. A backend that is already as ordered is returned
// with equal states before and after.
type Drainer interface {
	// Drain lets nothing new reach the backends; what lives goes on until it
	// ends or until the deadline resets it, and the backend is disabled then.
	// It answers [CodeLastBackend] and changes nothing when a service would be
	// left with no backend that is up, unless o.Yes is set.
	Drain(ctx context.Context, s Selection, o DrainOptions) ([]BackendChange, error)
	// Disable lets nothing new reach the backends, stops their health checks
	// and leaves the living untouched. yes is as in DrainOptions.
	Disable(ctx context.Context, s Selection, yes bool) ([]BackendChange, error)
	// Enable takes a drain or disable back.
	Enable(ctx context.Context, s Selection) ([]BackendChange, error)
}

// A Weigher changes the share of new flows that backends get.
type Weigher interface {
	// SetWeight gives the backends the weight, which is 0 to
	// [config.MaxWeight]. 0 takes them out of the choice without a drain; yes
	// allows a service to be left with nothing to choose. Errors are those of
	// [Drainer].
	SetWeight(ctx context.Context, s Selection, weight int, yes bool) ([]BackendChange, error)
}

// A Guardian keeps clients out.
type Guardian interface {
	// Bans returns who is kept out and how often.
	Bans(ctx context.Context) (BanList, error)
	// Ban keeps new connections of p out as q says, whose own text of the
	// prefix p was read from. It holds over restarts. [CodeInvalid] answers a
	// ban that the settings' exemptions leave without effect.
	Ban(ctx context.Context, p netip.Prefix, q BanRequest) (BanResult, error)
	// Unban takes a ban back and says whether there was one.
	Unban(ctx context.Context, p netip.Prefix) (bool, error)
}

// A SettingsStore holds the settings the node runs with.
type SettingsStore interface {
	// Settings returns what runs now.
	Settings(ctx context.Context) (Settings, error)
	// Diff returns what Apply would change, without changing it. Faulty
	// settings are answered with [CodeInvalidSettings] and one detail a fault.
	Diff(ctx context.Context, f SettingsFile) ([]Change, error)
	// Apply makes f the next generation and returns once the dataplane runs
	// it; text equal to what runs changes nothing and is no error. Besides
	// what Diff answers, it answers [CodeConflict] when newer generations came
	// by another way than the file f was made from, unless force is set.
	Apply(ctx context.Context, f SettingsFile, force bool) (ApplyResult, error)
}

// An Explainer tells where a flow goes, and why, without side effects.
type Explainer interface {
	// Explain follows a packet of client to listen. A zero listen asks for the
	// flow the client has, or for the only service; [CodeInvalid] says that
	// the question needs a listen address, [CodeNotFound] that no service has
	// this one.
	Explain(ctx context.Context, client, listen netip.AddrPort) (Explanation, error)
}

// A FailoverSource tells of the virtual clusters, and moves their VIPs. A name
// that no virtual cluster has is answered with [CodeNotFound] naming it.
type FailoverSource interface {
	// VirtualClusters returns those of the settings, in their order.
	VirtualClusters(ctx context.Context) ([]VirtualCluster, error)
	// History returns changes of this gateway's states, the latest first. The
	// last 1000 at least are kept, over restarts.
	History(ctx context.Context, q HistoryQuery) ([]StateChange, error)
	// Swap has the active gateway and the best other one change places, Resign
	// has this one give up what it holds. Both are all or nothing and return once
	// the state has changed; where it is so already they return equal states.
	// [CodeNoPeer] answers an order that would leave VIPs to nobody, unless
	// o.Yes is set.
	Swap(ctx context.Context, o VIPOrder) ([]VIPChange, error)
	Resign(ctx context.Context, o VIPOrder) ([]VIPChange, error)
	// ExplainFail tells who would be active, and changes nothing. [CodeInvalid]
	// says that q.Kind is needed to know what is meant, [CodeNotFound] that
	// nothing is called so.
	ExplainFail(ctx context.Context, q FailQuestion) (FailExplanation, error)
}
