// Package address gives this machine the VIPs of virtual clusters and takes them
// away again: the interfaces with virtual MACs, the addresses with a lease that
// the kernel ends when nobody renews it, and the settings that keep neighbours
// from learning the wrong MAC.
//
// A VIP with a virtual MAC lies on a macvlan of its own above the physical
// interface; on the backup that macvlan exists and is down, because one that is
// merely up sends multicast listener reports from the virtual MAC, and switches
// then send the VIP's frames here. Addresses that belong to the physical
// interface are never touched.
//
// A daemon opens a [Host], makes a [Set] of it for each virtual cluster, and calls
// Prepare, or Adopt where Held says that its predecessor's VIPs are still there.
// When the cluster becomes active it calls Take, Announce as often as it likes,
// and Renew a few times in each lease; when it becomes backup, Release. Watch
// tells meanwhile what others change.
//
// Everything is done in the network namespace of the calling thread, with no
// more than CAP_NET_ADMIN and CAP_NET_RAW.
package address

import (
	"fmt"
	"net"
	"net/netip"
	"time"
)

// VIP is one address of a virtual cluster.
type VIP struct {
	// Addr is the VIP with the length of its network, as the settings have it.
	// The interface gets it as a single address: /32 or /128.
	Addr netip.Prefix
	// Interface is the physical one: a card, a bond, a VLAN or a bridge.
	Interface string
	// MAC is the virtual MAC; nil puts the address on the interface itself.
	MAC net.HardwareAddr
}

// String names the VIP and where it is, for messages.
func (v VIP) String() string { return fmt.Sprintf("VIP %s on %q", v.Addr.Addr(), v.Interface) }

// Plan is what a [Set] is to have.
type Plan struct {
	// Cluster is the virtual cluster's name: its macvlans are known by it.
	Cluster string
	// VRID is 1 to 255.
	VRID int
	VIPs []VIP
	// Lease is how long an address outlives its last renewal, counted in whole
	// seconds, rounded up. 0 means for ever: for a gateway that is alone.
	Lease time.Duration
}

// VirtualMAC is the MAC that RFC 9568 §7.3 gives to a VIP of the family of addr:
// 00-00-5E-00-01-VRID for IPv4, 00-00-5E-00-02-VRID for IPv6.
func VirtualMAC(vrid uint8, addr netip.Addr) net.HardwareAddr {
	family := byte(1)
	if !addr.Unmap().Is4() {
		family = 2
	}
	return net.HardwareAddr{0x00, 0x00, 0x5e, 0x00, family, vrid}
}
