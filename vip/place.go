package vip

import (
	"net"
	"net/netip"
	"slices"
)

// place is where a VRRP instance is: an interface and an address family.
type place struct {
	Interface string
	IPv6      bool
}

func (p place) family() int {
	if p.IPv6 {
		return 6
	}
	return 4
}

// segmentsOf are the places of a cluster's VIPs, in the order of the settings.
func segmentsOf(p Cluster) []place {
	var list []place
	for _, v := range p.VIPs {
		if at := (place{v.Interface, v.IPv6()}); !slices.Contains(list, at) {
			list = append(list, at)
		}
	}
	return list
}

// setAddresses takes over the VIPs of this place. An IPv6 list begins with a
// link-local address (RFC 9568 §5.2.9): the one that another gateway's list begins
// with, since some refuse any other, or the one that the virtual MAC makes.
func (l *lan) setAddresses(p Cluster) {
	var list []netip.Addr
	for _, v := range p.VIPs {
		if v.Interface == l.at.Interface && v.IPv6() == l.at.IPv6 {
			list = append(list, v.Addr.Addr())
		}
	}
	if l.at.IPv6 {
		local := slices.IndexFunc(list, netip.Addr.IsLinkLocalUnicast)
		switch {
		case local > 0:
			list[0], list[local] = list[local], list[0]
		case local < 0 && l.local.IsValid():
			list = append([]netip.Addr{l.local}, list...)
		case local < 0:
			list = append([]netip.Addr{linkLocal(p.MAC(true), p.VRID)}, list...)
		}
	}
	l.addresses = list
}

// linkLocal is the address of a MAC in modified EUI-64 format (RFC 4291, A).
func linkLocal(mac net.HardwareAddr, vrid int) netip.Addr {
	if mac == nil {
		mac = net.HardwareAddr{0, 0, 0x5e, 0, 2, byte(vrid)}
	}
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
}
