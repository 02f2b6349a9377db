package address

import "net/netip"

// Kind is what an [Event] tells.
type Kind int

// The kinds of events.
const (
	// LinkDown: a physical interface lost its carrier or was taken down.
	LinkDown Kind = iota + 1
	// LinkUp: it is up and has its carrier again.
	LinkUp
	// LinkGone: it was deleted, or has moved to another namespace.
	LinkGone
	// LinkRenamed: it has another name now, Name; VIPs on it count as faulty.
	LinkRenamed
	// LinkBack: there is an interface of its name again.
	LinkBack
	// MacvlanGone: a macvlan was deleted, changed, or is down while active; Renew
	// makes it good.
	MacvlanGone
	// MacvlanUp: a macvlan is up on a backup; Release takes it down.
	MacvlanUp
	// VIPGone: a VIP of an active machine was taken away, or its lease ended;
	// Renew puts it back.
	VIPGone
	// VIPFound: a VIP lies where a set puts it, though this machine is backup.
	// Release takes it away.
	VIPFound
	// VIPStray: an address that is a VIP's lies where no set put it: somebody else
	// did, and it is never touched. It stays when the role leaves.
	VIPStray
	// VIPStrayGone: it lies there no more.
	VIPStrayGone
	// OwnChanged: the own addresses of a physical interface changed from Before
	// to After.
	OwnChanged
)

var kindWords = map[Kind]string{
	LinkDown: "link down", LinkUp: "link up", LinkGone: "link gone", LinkRenamed: "link renamed", LinkBack: "link back",
	MacvlanGone: "macvlan gone", MacvlanUp: "macvlan up", VIPGone: "VIP gone", VIPFound: "VIP found",
	VIPStray: "stray VIP", VIPStrayGone: "stray VIP gone", OwnChanged: "own addresses changed",
}

// String returns the words for logs.
func (k Kind) String() string { return kindWords[k] }

// Event is a change of the machine that was not made by the set itself.
type Event struct {
	Kind Kind
	// Interface is the physical interface, by the name that the plan has.
	Interface string
	// Name is the interface it is about where that is another one: the macvlan,
	// or the new name.
	Name string
	// Addr is the VIP, for VIPGone, VIPFound, VIPStray and VIPStrayGone.
	Addr netip.Addr
	// Lying is the VIP with the length that it lies there with, for the latter two.
	Lying netip.Prefix
	// Before and After are the own addresses, for OwnChanged.
	Before, After []netip.Prefix
}
