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
type Hello struct {
	// Tells says that the sender answers a Partial by a Tell. Senders that know
	// neither leave it out, which reads as false.
	Tells bool
}

// Offer says that the sender is active for a cluster. Index stands for the
// cluster from now on; an earlier offer of the same name is void.
type Offer struct {
	Index uint16
	Name  string
	// Term is that of the election; it grows with each take-over.
	Term uint64
}

// Span is terms from Lo to Hi, both included; the zero value is none.
type Span struct{ Lo, Hi uint64 }

// Holding is which flows of a cluster a gateway has.
type Holding struct {
	// To is the newest term of which it has flows, 0 for none at all.
	To uint64
	// Tail says that the newest flows of term To may be missing, as in any copy of
	// another gateway's.
	Tail bool
	// Lacks are the terms of which it may lack flows that others have.
	Lacks Span
}

// Partial follows an offer whose sender lacked flows when it became active, before
// anything is told by it. Who does not know it takes the offer for a whole one.
type Partial struct {
	Index uint16
	// Lacks are the terms of which flows may be missing.
	Lacks Span
	// Told says that the receiver told all it had. Until then it is asked to, and a
	// snapshot of the offer removes nothing there.
	Told bool
}

// Tell answers a Partial: a snapshot of flows that the sender has of former terms,
// under an index as offers have. Where Has.To is 0 it has none, and no snapshot
// follows. It is sent to those alone that sent a Partial.
type Tell struct {
	Index uint16
	// Term is that of the offer that is answered.
	Term uint64
	Has  Holding
	// Name is the cluster's.
	Name string
}

// Stop ends an offer, or what a Tell began.
type Stop struct {
	Index uint16
	// All says that a snapshot and every change since were told. Senders that do not
	// know leave it out, which reads as false.
	All bool
}

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
	// RefusedWhole: nothing is missing that a Tell could bring.
	RefusedWhole
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
	case RefusedWhole:
		return "nothing is missing there"
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
	kindPartial
	kindTell
)
