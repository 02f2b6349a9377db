// Package heartbeat is what gateways of a cluster tell each other beside VRRP:
// messages as bytes, and what is known of the link that they go over. It holds
// no socket and reads no clock.
//
// A message is always signed by the trailer of package auth. It is fresh not by
// a clock but by an echo: each gateway tells what it last heard from the other,
// and whoever hears an echo of what it has just sent knows that the other lives
// now. See [Link].
package heartbeat

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"
)

// Versions of the message that this program can write, and still understands.
const (
	Version = 1
	Oldest  = 1
)

// Limits of a message's parts, in bytes or items.
const (
	MaxName    = 63
	MaxProgram = 32
	MaxPings   = 64
	// MaxSize is that of the largest datagram taken: it passes any IPv6 link.
	MaxSize = 1232
)

// Boot tells one run of a process from any other. 0 is none.
type Boot uint64

// NewBoot makes a random one.
func NewBoot() Boot {
	var b [8]byte
	for {
		_, _ = rand.Read(b[:]) // never fails
		if boot := Boot(binary.BigEndian.Uint64(b[:])); boot != 0 {
			return boot
		}
	}
}

// State is what a gateway is for a virtual cluster.
type State uint8

// The states.
const (
	Init State = iota
	Backup
	Active
	Fault
	states
)

// String returns the state's name.
func (s State) String() string {
	if s < states {
		return [...]string{"init", "backup", "active", "fault"}[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Flags are yes-or-no facts of the sender.
type Flags uint16

// The flags. Unknown ones are a newer version's and ignored.
const (
	// Healthy: nothing of the gateway's own keeps it from being active.
	Healthy Flags = 1 << iota
	// PingsOK: no ping item has failed.
	PingsOK
	// LinksOK: all interfaces of the virtual cluster have a carrier.
	LinksOK
	// Synced: the flow table is as the peer's.
	Synced
	// Ordered: the claim is an operator's order.
	Ordered
	// Resign: I give up, or have just done so.
	Resign

	known = Healthy | PingsOK | LinksOK | Synced | Ordered | Resign
)

// Has says whether all of the given flags are set.
func (f Flags) Has(flags Flags) bool { return f&flags == flags }

// Ping is the result of a ping item, in the order of the settings.
type Ping uint8

// The results.
const (
	PingUnknown Ping = iota
	PingOK
	PingFailed
	pings
)

// Message is a heartbeat.
type Message struct {
	// Cluster is the virtual cluster, Node the sender: 1 to [MaxName] bytes of
	// printable text without blanks.
	Cluster, Node string
	// Versions are those of the sender.
	Versions Versions
	// Boot is the sender's run, Sequence counts its messages to this peer from 1.
	Boot     Boot
	Sequence uint64
	// Term counts changes of the active: see the election.
	Term uint64
	// State, priorities as in the settings and as lowered, and flags.
	State                  State
	BasePriority, Priority uint8
	Flags                  Flags
	// Claim is the number of the sender's claim to the role of the active gateway, 0
	// for none. Grant is the number of the receiver's claim that the sender consents
	// to, 0 for none.
	Claim, Grant uint32
	// Open is how long the sender's owner words are open after sending, in whole
	// microseconds up to 71 minutes: who hears no advert must wait for that.
	Open time.Duration
	// Pings are the ping items' results, at most [MaxPings].
	Pings []Ping
	// Generation is that of the sender's settings, VIPs a hash of its list.
	Generation uint64
	VIPs       VIPHash
	// Program is the sender's version, at most [MaxProgram] bytes, for people.
	Program string
	// Echo tells what the sender last heard from the receiver.
	Echo Echo
}

// Echo is what a gateway tells a peer of the peer's own messages. The zero value
// says that none was heard.
type Echo struct {
	// Boot and Sequence are those of the latest message heard.
	Boot     Boot
	Sequence uint64
	// Ago is how long before sending it was heard, in whole microseconds and at
	// most 71 minutes.
	Ago time.Duration
	// Heard has a bit for each of the last Span messages up to Sequence, which is
	// bit 0; set ones arrived. Span is at most 64.
	Heard uint64
	Span  uint8
}
