// Package wire is flow sync as bytes: the flows and keys that gateways tell
// each other, and the messages they are told in. Nothing here trusts what it
// reads: every length is bounded, and what is not understood is skipped or
// refused, never guessed.
package wire

import (
	"net/netip"
	"time"
)

// Key names a flow by addresses: ids mean nothing on another machine.
type Key struct {
	// Service is VIP and port, Client the client's address and port. Both are of
	// one family, and IPv4 is never written as IPv6.
	Service, Client netip.AddrPort
}

// Mode is how a flow reaches its backend.
type Mode uint8

// The modes. Connections that end in a node's own listener are not flows.
const (
	ModeNAT Mode = iota + 1
	ModeDSR
	ModeIPIP
	ModeGUE
	modes
)

// State is how far a flow is.
type State uint8

// The states.
const (
	// StateYoung is a flow of which only the client's side was seen.
	StateYoung State = iota + 1
	StateEstablished
	StateHalfClosed
	StateClosed
	// StateKilled is a flow whose packets are answered by a reset.
	StateKilled
	states
)

// Notes is a set of what was seen of a flow.
type Notes uint16

// The notes. A reader keeps those it does not know as they are.
const (
	// ClientFIN and BackendFIN: that side ended its half.
	ClientFIN Notes = 1 << iota
	BackendFIN
	// ClientDoubt and BackendDoubt: anybody may have sent that end, and the
	// sequence number of that side is where it stands.
	ClientDoubt
	BackendDoubt
	// Reset is a reset beyond doubt.
	Reset
	// Advanced is a young flow whose client sent data.
	Advanced
	// Header is a flow that began with a PROXY header, which the backend has.
	Header
)

// Flow is one flow as it is told to another gateway.
type Flow struct {
	Key
	Backend netip.AddrPort
	// Source is the address and port towards the backend in mode nat, the client's
	// own where it is kept; invalid in the other modes.
	Source netip.AddrPort
	Mode   Mode
	State  State
	Notes  Notes
	// Opened and Idle are how long ago handshake and last packet were: clocks
	// differ, ages do not. In steps of a millisecond, at most MaxAge.
	Opened, Idle time.Duration
	// ISN is the client's initial sequence number, which the connection id is
	// made of; 0 without a PROXY header.
	ISN uint32
	// ClientSeq and BackendSeq are the sequence numbers the table keeps of the
	// two sides, 0 where it keeps none.
	ClientSeq, BackendSeq uint32
	// HeaderOpen says that the backend has not acknowledged the PROXY header yet.
	// Such a flow is not told to anybody, so this never travels.
	HeaderOpen bool
}

// MaxAge is the largest age that is told; what is older is said to be as old.
const MaxAge = 10 * 365 * 24 * time.Hour
