package flowsync

import "time"

// EventKind is what happened.
type EventKind string

// The kinds of events.
const (
	// EventConnected and EventDisconnected: to a peer, for sending.
	EventConnected    EventKind = "connected"
	EventDisconnected EventKind = "disconnected"
	// EventSnapshot: all flows of a cluster are being sent to a peer.
	EventSnapshot EventKind = "snapshot"
	// EventRefused: a peer takes no flows of a cluster from us; Text says why.
	EventRefused EventKind = "refused"
	// EventStopped: flows of a cluster are no longer sent, since we are not active
	// for it any more.
	EventStopped EventKind = "stopped"
	// EventTold: a peer told back what it had of a cluster that we lacked.
	EventTold EventKind = "told"
	// EventSynced and EventUnsynced: whether our copy of a cluster's flows is
	// complete and fresh.
	EventSynced   EventKind = "synced"
	EventUnsynced EventKind = "unsynced"
)

// Event is something that happened.
type Event struct {
	Kind EventKind
	Time time.Time
	// Peer and Cluster are empty where they have no part in it.
	Peer, Cluster string
	Text          string
}

func (s *Sync) tell(kind EventKind, peer, cluster, text string) {
	s.opt.Log.Info("flow sync: "+string(kind), "peer", peer, "cluster", cluster, "why", text)
	if s.opt.Notify != nil {
		s.opt.Notify(Event{Kind: kind, Time: time.Now(), Peer: peer, Cluster: cluster, Text: text})
	}
}
