package loader

import (
	"net/netip"
	"time"
)

// FlowKey names a flow from the client's side.
type FlowKey struct {
	Service ServiceID
	Client  netip.AddrPort
}

// FlowFlags are facts of a FlowRecord.
type FlowFlags uint8

// The flags. An end in doubt is one that anybody may have sent: the flow counts
// as ended, and its entry stays in case a living session speaks.
const (
	// FlowHeader: it began with a PROXY header, which the backend has.
	FlowHeader FlowFlags = 1 << iota
	// FlowAdvanced: one-way modes; the client has sent data.
	FlowAdvanced
	// FlowClientFIN and FlowBackendFIN: that side sent a FIN.
	FlowClientFIN
	FlowBackendFIN
	// FlowClientDoubt and FlowBackendDoubt: the end of that side, a FIN where it
	// sent one and else a reset, is in doubt.
	FlowClientDoubt
	FlowBackendDoubt

	flowFlags = iota
)

// recordBits are the bits of a status word that the flags stand for.
var recordBits = [flowFlags]uint32{statusHeader | statusHeaderClosed, statusAdvanced, 1 << 8, 1 << 9, 1 << 13, 1 << 14}

// FlowRecord is all that another gateway needs to go on with a flow. The ids are
// this node's.
type FlowRecord struct {
	FlowKey
	Member MemberID
	// Source is the address and port towards the backend in mode nat, the
	// client's own where it is kept; invalid in one-way modes.
	Source netip.AddrPort
	// State is FlowYoung (one-way modes), FlowEstablished, FlowHalfClosed, or
	// FlowClosed in doubt.
	State FlowState
	Flags FlowFlags
	// Idle is how long ago the last packet was seen, Age how long ago the flow was
	// established, both in steps of 1.07 s and as of when the record was read.
	Idle, Age time.Duration
	// ISN is the client's initial sequence number, with FlowHeader only: what the
	// connection id is made of.
	ISN uint32
	// Sequence and BackSequence are where the ends of client and backend stand
	// that are in doubt. Else they are what was seen last, which proves nothing by
	// the time it is read.
	Sequence, BackSequence uint32
}
