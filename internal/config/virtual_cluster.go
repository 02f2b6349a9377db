package config

import (
	"net"
	"net/netip"
	"strconv"
	"time"
)

// VirtualCluster is a set of VIPs, on one interface or several, that one of its
// nodes holds at a time. They always move together.
type VirtualCluster struct {
	// Name is unique. Default: VRID as text.
	Name string
	// VRID is the number of the virtual router, 1 to 255; on one interface each
	// cluster of a family has one of its own.
	VRID int
	// Priority is that of each node of the cluster, 1 to 254; the highest that can
	// serve becomes active. Each is in Settings.Nodes or is this node.
	Priority map[string]int
	// Member says that this node is in Priority; without it the cluster is none of
	// this node's business. OwnPriority is its priority there, else 0.
	Member      bool
	OwnPriority int
	// Peers are the other nodes in Priority, by name; nil for none, which is a
	// cluster without a second gateway.
	Peers []Peer
	// Preempt hands the role back to a node of higher priority that comes back,
	// once it has been healthy and synced for PreemptDelay (0 to 1h).
	Preempt      bool
	PreemptDelay time.Duration
	// AdvertInterval is the time between two adverts of the active node: 50ms to
	// 40s, a multiple of 10ms, with Version 2 of 1s.
	AdvertInterval time.Duration
	// Version of VRRP: 3 (RFC 9568), or 2 (RFC 3768) for IPv4 alone.
	Version int
	// Checksum is how the checksum of what is sent over IPv4 is made; empty with
	// Version 2. What comes in is taken either way.
	Checksum Checksum
	// VirtualMAC is the address that clients see; read it by MAC.
	VirtualMAC VirtualMAC
	// Addrs are the own addresses of the nodes on interfaces with VIPs, at most one
	// for each interface and family, which Unicast needs for all of them.
	Addrs []ClusterAddr
	// Unicast sends adverts to the other nodes' Addrs instead of the group.
	Unicast bool
	Auth    Auth
	// Heartbeat is the zero value for none.
	Heartbeat Heartbeat
	// VIPs are 1 to MaxVIPs, none twice in all clusters.
	VIPs []VIP
	// Pings are what must answer. A node with a failed one does not stay active
	// while another node's all answer.
	Pings []Ping
	// PingSettle is how long pings of the active node must have failed while those
	// of a backup answer before the role moves. It is at least the longest interval
	// and timeout of Pings and the heartbeat's timeout, so that a common outage
	// does not move it; 0 without Pings.
	PingSettle time.Duration
	// Notify is a program by its absolute path and its arguments, nil for none. It
	// is run at each change and may take NotifyTimeout, 1s to 1h.
	Notify        []string
	NotifyTimeout time.Duration
	Announce      Announce
}

// Peer is another node of a virtual cluster.
type Peer struct {
	// Node is its name and Priority its priority in the cluster.
	Node     string
	Priority int
	// Heartbeat is its address on the heartbeat link, not valid without one.
	Heartbeat netip.Addr
}

// VIP is an address of a virtual cluster.
type VIP struct {
	// Addr is the address, with the length of the prefix of its network.
	Addr netip.Prefix
	// Interface is the one that the address is reached by.
	Interface string
}

// ClusterAddr are the own addresses that the nodes of a cluster have on an
// interface.
type ClusterAddr struct {
	Interface string
	// NodeAddr is the address as the file has it: ${name} in it is the node's own.
	NodeAddr string
	// Addr is that of this node, not valid where it is no member; Peers are those
	// of VirtualCluster.Peers, in that order.
	Addr  netip.Addr
	Peers []netip.Addr
}

// Checksum is how the checksum of VRRP version 3 over IPv4 is made.
type Checksum string

// How the checksum is made. RFC 5798 left it open, and vendors differ.
const (
	ChecksumPseudoHeader Checksum = "pseudo_header" // with the addresses, as RFC 9568 and keepalived
	ChecksumPlain        Checksum = "plain"         // of the message alone, as Cisco and Juniper
)

// VirtualMAC says which MAC address the VIPs have: VirtualMACAuto,
// VirtualMACOff, or one as text.
type VirtualMAC string

// The words for a virtual MAC address.
const (
	VirtualMACAuto VirtualMAC = "auto" // that of the VRID, RFC 9568 §7.3
	VirtualMACOff  VirtualMAC = "off"  // none: that of the interface
)

// MAC is the address that VIPs of a family have, nil for the interface's own.
func (v VirtualCluster) MAC(ipv6 bool) net.HardwareAddr {
	switch v.VirtualMAC {
	case VirtualMACOff, "":
		return nil
	case VirtualMACAuto:
		group := byte(1)
		if ipv6 {
			group = 2
		}
		return net.HardwareAddr{0, 0, 0x5e, 0, group, byte(v.VRID)}
	default:
		mac, _ := net.ParseMAC(string(v.VirtualMAC)) // read by the same function
		return mac
	}
}

// IPv6 says that the address is one of IPv6.
func (v VIP) IPv6() bool { return v.Addr.Addr().Is6() }

// defaultName is the name of a cluster that the file gives none.
func (v VirtualCluster) defaultName() string {
	if v.VRID == 0 {
		return ""
	}
	return strconv.Itoa(v.VRID)
}
