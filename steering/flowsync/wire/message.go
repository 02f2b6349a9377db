package wire

import "time"

// Version is that of the messages. What only adds fields or kinds of messages
// does not raise it.
const Version = 1

// Limits of a record and what stands in it.
const (
	// MaxRecord is the most bytes of a record before it is sealed.
	MaxRecord = 65519
	// MaxName is the most bytes of a cluster's name.
	MaxName = 64

	recordHeader  = 1 + 8
	messageHeader = 2 + 1
	flowsHeader   = messageHeader + 2 + 1
)

// Message is one of the types below.
type Message any

// Hello is the first message of who dialled: it proves that the key is known to
// somebody who lives.
type Hello struct{}

// Offer says that the sender is active for a cluster. Index stands for the
// cluster from now on; an earlier offer of the same name is void.
type Offer struct {
	Index uint16
	Name  string
	// Term is that of the election; it grows with each take-over.
	Term uint64
}

// Stop ends an offer.
type Stop struct{ Index uint16 }

// Begin starts a snapshot of an offered cluster; one that runs is void.
type Begin struct{ Index uint16 }

// Origin is why flows are told.
type Origin uint8

// The origins.
const (
	// OriginSnapshot is part of a snapshot, which is void where a change was told
	// since its Begin.
	OriginSnapshot Origin = iota + 1
	// OriginChange is a flow that changed.
	OriginChange
	// OriginRefresh is a flow that only its age is told of.
	OriginRefresh
)

// Flows tells flows of an offered cluster.
type Flows struct {
	Index  uint16
	Origin Origin
	Flows  []Flow
}

// Gone tells flows of an offered cluster that are no more.
type Gone struct {
	Index uint16
	Keys  []Key
}

// End completes a snapshot: what it did not name is no more.
type End struct{ Index uint16 }

// Alive is sent while nothing else is.
type Alive struct {
	// Time is the sender's, echoed by the receiver.
	Time uint64
	// Lag is the age of the oldest thing told that was not acknowledged.
	Lag time.Duration
}

// Ack says up to which record everything was applied.
type Ack struct {
	Seq uint64
	// Time is that of the last Alive.
	Time uint64
}

// Want asks for a new snapshot of a cluster.
type Want struct{ Name string }

// Refusal is why an offer is not taken.
type Refusal uint8

// The refusals.
const (
	// RefusedTerm: a newer term is known.
	RefusedTerm Refusal = iota + 1
	// RefusedActive: the receiver is active itself.
	RefusedActive
	// RefusedUnknown: the receiver's settings have no such cluster, or not the
	// sender as one of its gateways.
	RefusedUnknown
	// RefusedHeld: another gateway sends in the same term.
	RefusedHeld
)

// String says it in words.
func (r Refusal) String() string {
	switch r {
	case RefusedTerm:
		return "a newer term is known there"
	case RefusedActive:
		return "it is active itself"
	case RefusedUnknown:
		return "its settings have no such cluster with this gateway"
	case RefusedHeld:
		return "another gateway sends in the same term"
	}
	return "it does not say why"
}

// Refuse says that nothing more of an offer is taken.
type Refuse struct {
	Index  uint16
	Reason Refusal
	// Term is the highest the receiver knows.
	Term uint64
}

// The kinds, as they are numbered in a record.
const (
	kindHello = iota + 1
	kindOffer
	kindStop
	kindBegin
	kindFlows
	kindGone
	kindEnd
	kindAlive
	kindAck
	kindWant
	kindRefuse
)
