package election

import "time"

// EffectKind says what is to be done.
type EffectKind uint8

// What a machine asks for.
const (
	// Take: flow state as far as it came, owner words open until Until, addresses.
	Take EffectKind = iota + 1
	// Adopted: as Take, but all of it is there already.
	Adopted
	// Leave: owner words closed, addresses removed. It must be done before anything
	// that follows.
	Leave
	// Renew: owner words open until Until, leases prolonged.
	Renew
	// Announce: gratuitous ARP and neighbour advertisements, with their repetitions.
	Announce
	// Advertise: an advert with Priority on every segment; 0 resigns.
	Advertise
	// Beat: a heartbeat to every peer, of what Beacon says.
	Beat
	// Changed: the state went From one To another for a Reason, in a Term.
	Changed
	// Still: this node is active after a time in which another one was, too; who
	// was told of a change is to be told again.
	Still
)

// Effect is one thing to do.
type Effect struct {
	Kind EffectKind
	// Until is the deadline of the owner words, 0 for none.
	Until time.Duration
	// Priority is the one to advertise.
	Priority uint8
	From, To State
	Reason   Reason
	Term     uint64
}
