package loader

import (
	"net"
	"net/netip"
	"time"
)

// ServiceID numbers a service in the maps. It stays with VIP and port for as
// long as the maps live.
type ServiceID uint32

// MemberID numbers a member: one backend within one service. 0 is no member.
type MemberID uint32

// NextHopID numbers an entry of the next-hop table. 0 is no next hop.
type NextHopID uint32

// Limits of the maps, from bpf/shared.h.
const (
	RingEntries = 65537
	MaxServices = 1024
	MaxMembers  = 16384
	MaxNextHops = 4096
	MaxPool     = 16
)

// Mode is what the programs do with a packet of a service.
type Mode uint8

// The modes, with the values of enum mode.
const (
	ModeNAT  Mode = 1
	ModeDSR  Mode = 2
	ModeSSHD Mode = 3
	ModeIPIP Mode = 4
	ModeGUE  Mode = 5
)

// OneWay says that only the client's packets pass the programs: the backend
// answers directly.
func (m Mode) OneWay() bool { return m == ModeDSR || m.Tunnels() }

// Tunnels says that a backend gets the client's packet inside another one.
func (m Mode) Tunnels() bool { return m == ModeIPIP || m == ModeGUE }

// Service is one VIP and port as the programs see it.
type Service struct {
	Listen netip.AddrPort
	Mode   Mode
	// KeepClient leaves the client's address as source (nat only).
	KeepClient bool
	// Proxy has new flows begin with a PROXY v2 header (nat without KeepClient).
	Proxy bool
	// Pool are the source addresses towards backends (nat without KeepClient),
	// at most MaxPool, of the VIP's family.
	Pool []netip.Addr
	// ByClient makes the ring entry a matter of the client's address alone, so
	// that all its flows meet one backend.
	ByClient bool
	// TwoChoices sends a new flow to the less loaded of the members that its
	// entry names in the service's two rings, by what SetLoads says.
	TwoChoices bool
	// Nodes says that the members are nodes (one-way modes): what another node
	// sends on to this one, and what goes to the member that is this one, ends in
	// the listener here, as in ModeSSHD.
	Nodes bool
	// Local is the member that is this node, 0 for none: connections of its own
	// stay here whoever flow table and ring name. Services with Nodes only.
	Local MemberID
	// Removed marks a service that left the settings while flows of it live.
	Removed bool
}

// Ends says that connections which reach this node end in its listener.
func (s Service) Ends() bool { return s.Mode == ModeSSHD || s.Nodes }

// Member is one backend within one service.
type Member struct {
	Service ServiceID
	Addr    netip.AddrPort
	NextHop NextHopID
	// Source is what the outer header names as source where the mode tunnels.
	// Bits that the prefix leaves open are filled by the flow's hash, at most 32
	// of them.
	Source netip.Prefix
	// Local says that the member is this node: its packets are passed up, and it
	// has no next hop. Services with Nodes only.
	Local bool
}

// NextHop is a neighbour that frames are sent to.
type NextHop struct {
	// Interface is the index of the egress interface.
	Interface   int
	Source      net.HardwareAddr
	Destination net.HardwareAddr
	// VLAN is the tag the frame carries, 0 for none.
	VLAN uint16
	// MTU is the largest IP packet the interface takes, in bytes.
	MTU uint16
	// Ready says that the neighbour answered; without it packets are dropped
	// and counted as no_next_hop.
	Ready bool
}

// MemberCounters are the sums over all CPUs for one member.
type MemberCounters struct {
	PacketsIn, BytesIn   uint64 // towards the backend; bytes are IP total length
	PacketsOut, BytesOut uint64 // from the backend, nat only
	FlowsOpened          uint64
	FlowsClosed          uint64
	SYNs                 uint64
	Resets               uint64
	Headers              uint64
	FlowsRevived         uint64 // counted closed, and found to live on
}

// ServiceCounters are the sums over all CPUs for one service.
type ServiceCounters struct {
	PacketsIn, BytesIn uint64
	SYNs               uint64
	Refused            uint64
	FlowsUnprotected   uint64
	NoReturnPath       uint64
	ICMPErrors         uint64 // sent on to who sent the packet they quote
}

// DropCounter is the sum over all CPUs for one drop reason.
type DropCounter struct {
	Reason         string
	Packets, Bytes uint64
}

// FlowState is where a flow stands.
type FlowState uint8

// The states, with the values of enum flow_state.
const (
	FlowYoung FlowState = iota + 1
	FlowEstablished
	FlowHalfClosed
	FlowClosed
	FlowKilled
)

// Flow is one established flow, seen from the client's side.
type Flow struct {
	// Line and Word name the table line and its content, for Expire and Kill.
	// A flow of the overflow table cannot be named so: Line is NoLine.
	Line, Word uint32
	Client     netip.AddrPort
	// Source is the address and port towards the backend; invalid where the
	// client's own is kept.
	Source  netip.AddrPort
	Service ServiceID
	Member  MemberID
	State   FlowState
	Opened  time.Duration // CLOCK_MONOTONIC
	Seen    time.Duration // CLOCK_MONOTONIC, in steps of 1.07 s
	// ID is that of the PROXY header the flow began with.
	ID ConnectionID
}

// EventKind is what happened to a flow.
type EventKind uint32

// The kinds, with the values of enum event_kind.
const (
	EventEstablished EventKind = iota + 1
	EventClosed
	EventRefused
	// EventNeighbour asks user space to resolve Client on Interface.
	EventNeighbour
	// EventRevived is a flow that goes on after it was told closed.
	EventRevived
	// EventSettled is a flow that another gateway can go on with by its record
	// from now on: its header was acknowledged, or it is no longer young.
	EventSettled
)

// Event is one record of the event ring buffer.
type Event struct {
	Kind      EventKind
	Time      time.Duration // CLOCK_MONOTONIC
	Reason    string        // drop reason of a refused flow
	Service   ServiceID
	Member    MemberID
	Client    netip.AddrPort
	Source    netip.AddrPort
	Interface int
	// ID is that of the PROXY header an established or closed flow began with.
	ID ConnectionID
}

// Lifetimes are how long an entry lives after its last packet. Past it the
// entry counts as absent at once; sweeping only frees the memory. Zero fields
// take the default in brackets.
type Lifetimes struct {
	Embryo      time.Duration // handshake not finished [60s]
	Established time.Duration // [120h]
	HalfClosed  time.Duration // one side sent FIN [2m]
	Closed      time.Duration // both sides sent FIN, or a reset was seen [10s]
	Young       time.Duration // one-way modes: how long a handshake seen from one side may wait for proof [10s]
	// Doubt is how long an entry outlives a FIN or RST that anybody may have
	// sent [2h15m]: an idle session with TCP keepalive speaks before it is over.
	Doubt time.Duration
}
