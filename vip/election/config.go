package election

import (
	"fmt"
	"net/netip"
	"time"
)

// State is a node's state for one virtual cluster, in the words of RFC 9568.
type State uint8

// The states.
const (
	Init   State = iota // not started, or told to stop
	Backup              // serves when the active node does not
	Active              // owns the VIPs
	Fault               // must not serve
)

// String returns the state as it is shown: init, backup, active or fault.
func (s State) String() string {
	switch s {
	case Init:
		return "init"
	case Backup:
		return "backup"
	case Active:
		return "active"
	case Fault:
		return "fault"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Config is what an election goes by; it does not change.
type Config struct {
	// Priority is this node's, 1 to 254; the higher one is preferred.
	Priority uint8
	// Impaired is the priority that is advertised while this node is impaired: a
	// node's rank among the nodes of the cluster, counted from 1 at the lowest
	// priority. A heard priority of at most Ranks is an impaired node's.
	Impaired, Ranks uint8
	// Interval is the time between adverts.
	Interval time.Duration
	// BeatInterval is the time between heartbeats, BeatTimeout how long after the
	// last one a peer counts as out of reach.
	BeatInterval, BeatTimeout time.Duration
	// Peers are the other gateways of the cluster that send heartbeats, in the
	// order in which Heartbeat names them. None: adverts are all that is heard.
	Peers []Peer
	// Address is this node's on the heartbeat link: between equal priorities the
	// greater one wins.
	Address netip.Addr
	// Segments is the number of segments adverts are sent on.
	Segments int
	// Claims is where the numbers of claims begin: another place in each process, so
	// that a grant of an earlier life means nothing.
	Claims uint32
	// Alone says that no second gateway exists, so nobody waits for anything.
	Alone bool
	// Preempt has the higher priority take the role back, once it was sound and
	// synced for PreemptDelay.
	Preempt      bool
	PreemptDelay time.Duration
	// Pings says that there are ping items. Settle is for how long the active node's
	// must fail while ours are answered before the role moves: longer than it takes
	// to notice an outage, so that one that both see moves nothing.
	Pings  bool
	Settle time.Duration
}

// Peer is another gateway of the cluster.
type Peer struct {
	// Node is its name.
	Node string
	// Address is its heartbeat address.
	Address netip.Addr
}
