package doctor

import (
	"context"
	"io/fs"
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
	gateway
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
	// WhoHas asks the network of an interface for an address by ARP or neighbour
	// discovery and returns all who answer; it needs CAP_NET_RAW.
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
	// LegacyTables returns the rules of x_tables, the kernel's older filter, which
	// nft does not show; none for a family without tables.
	LegacyTables(ctx context.Context) ([]legacyTables, error)
	CPUs() int
	// SourcePorts returns how many ports there are for flows to one backend
	// from one address.
	SourcePorts() (int, error)
}

// gateway is what checks of virtual clusters ask.
type gateway interface {
	// Own returns the addresses of an interface without those that an election
	// put there.
	Own(link string) ([]netip.Prefix, error)
	// Ping asks hosts by an interface and returns how each answered; it needs
	// CAP_NET_RAW.
	Ping(ctx context.Context, link string, hosts []netip.Addr) (map[netip.Addr]pong, error)
	// WhoHasFor is WhoHas from a MAC address that is not the interface's.
	WhoHasFor(ctx context.Context, link string, from net.HardwareAddr, addr netip.Addr) ([]net.HardwareAddr, error)
	// Macvlan says why no macvlan can be made on an interface, nil if it can.
	Macvlan(link string) error
	// Platform names what this machine runs on, such as "VMware"; "" for iron, or
	// what is not known.
	Platform() string
	// AdvertKey returns the mode of a key file, and why it is none.
	AdvertKey(path string) (fs.FileMode, error)
	// ClusterKey returns the fingerprint of the key of a data directory and when
	// it was written; an error matches [fs.ErrNotExist] where there is none.
	ClusterKey(dir string) (fingerprint string, written time.Time, err error)
	// Urgency returns how a process is put before others.
	Urgency(pid int) (urgency, error)
	// Keepalived returns those that run in this network namespace.
	Keepalived() ([]keepalived, error)
	// Now is the wall's clock.
	Now() time.Time
}

// legacyTables are those of one family.
type legacyTables struct {
	IPv6  bool
	Names []string
	// Saved is what iptables-save prints of them; Fault says why it could not be had.
	Saved []byte
	Fault string
}

// pong is how a host answered.
type pong struct {
	OK  bool
	RTT time.Duration
	// Fault says why it could not be asked.
	Fault string
}

// urgency is how a process is put before others.
type urgency struct {
	Realtime bool
	// Schedule is the same in words.
	Schedule string
	// Locked says that its memory cannot be taken away.
	Locked bool
}

// keepalived is a running one, and what its settings say.
type keepalived struct {
	PID     int
	File    string
	Routers []virtualRouter
	// Fault says why its settings could not be read.
	Fault string
}

// virtualRouter is one of its virtual routers.
type virtualRouter struct {
	Interface string
	VRID      int
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
