package doctor

import (
	"context"
	"net"
	"net/netip"
	"time"

	"sluice/internal/node/links"
	"sluice/internal/node/process"
	"sluice/loader"
)

// machine is all that the checks ask of the operating system. It is put
// together from small parts, so that a test of one check fakes one part.
type machine interface {
	links.Kernel
	linkReader
	router
	prober
	host
}

// linkReader knows interfaces better than the routing table does.
type linkReader interface {
	// Card returns how an interface is built and set.
	Card(name string) (card, error)
}

// router knows the ways packets take.
type router interface {
	// Way returns the way of a packet; ok is false where there is none.
	Way(to netip.Addr) (w way, ok bool, err error)
}

// prober sends packets of its own.
type prober interface {
	// Connect opens and closes a TCP connection and returns how long it took.
	Connect(ctx context.Context, to netip.AddrPort) (time.Duration, error)
	// GreetProxy sends an SSH server a PROXY v2 header and returns what it calls
	// itself; err is [health.ErrNoProxy] where it does not read that.
	GreetProxy(ctx context.Context, to netip.AddrPort) (server string, err error)
	// WhoHas asks the network of an interface for an address by ARP and
	// returns all who answer; it needs CAP_NET_RAW.
	WhoHas(ctx context.Context, link string, addr netip.Addr) ([]net.HardwareAddr, error)
}

// host is the kernel as a whole.
type host interface {
	Rights() (process.Status, error)
	Features() []loader.Feature
	// OnBPFFS says whether a path, or what exists above it, is on a bpffs, and
	// whether that is one that lives as long as the machine's own mounts.
	OnBPFFS(path string) (on, ours bool, err error)
	// ClockSynchronised says whether somebody keeps the clock right.
	ClockSynchronised() (bool, error)
	// Sysctl returns a value below /proc/sys, with dots for slashes but in
	// the names of interfaces, which come as they are in parts.
	Sysctl(parts ...string) (string, error)
	// Ruleset returns the nftables rules as JSON, nil where nft is missing.
	Ruleset(ctx context.Context) ([]byte, error)
	CPUs() int
	// SourcePorts returns how many ports there are for flows to one backend
	// from one address.
	SourcePorts() (int, error)
}

// card is how an interface is built and set.
type card struct {
	Up bool
	// MTU is the largest IP packet in bytes.
	MTU int
	// Driver is the kernel's name of it, such as "ice" or "veth".
	Driver string
	// RXQueues are those in use, not those there could be.
	RXQueues int
	// Program is the XDP program on it, nil for none.
	Program *program
	// Native and Redirect say whether the driver can run XDP, and send frames
	// that were redirected to it; Told is false where the kernel does not say
	// (before 6.3).
	Told, Native, Redirect bool
	// Pieces says that the driver hands over frames larger than a page, and the
	// kernel our programs the means to take them.
	Pieces bool
	// GRO and LRO say that the kernel or the card joins packets on arrival.
	GRO, LRO bool
	// Untags says that the card takes the VLAN tag off on arrival.
	Untags bool
	// Peer says that this is a veth, PeerHere that its far end is in this
	// namespace, so that what follows is known.
	Peer           bool
	PeerHere       bool
	PeerName       string
	PeerMTU        int
	PeerTXQueues   int
	PeerTXChecksum bool
}

// program is an XDP program found on an interface.
type program struct {
	ID   uint32
	Name string // "" where it may not be read
}

// way is how a packet leaves.
type way struct {
	Link string
	// Gateway is the router, invalid where the destination is on the network.
	Gateway netip.Addr
	// Source is the address a socket of this node would have.
	Source netip.Addr
	// MAC is the neighbour's, empty while it is not known. Failed says that
	// nobody answered for it.
	MAC    net.HardwareAddr
	Failed bool
}

// next is the address whose MAC a frame gets.
func (w way) next(to netip.Addr) netip.Addr {
	if w.Gateway.IsValid() {
		return w.Gateway
	}
	return to
}
