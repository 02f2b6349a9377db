// Package announce tells neighbours where a VIP is now: gratuitous ARP for IPv4
// and unsolicited neighbour advertisements for IPv6.
//
// Frames go out by the physical interface whatever address they name, so that
// switches learn the MAC on the port that has it and neighbours correct what
// they remember. Who repeats them, and when, is the caller's.
package announce

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Form is the kind of a gratuitous ARP. RFC 5227 §3 has announcements be
// requests, RFC 2002 §4.6 allows both; some stacks heed only one of them, so
// callers alternate.
type Form uint16

// The forms, by ARP operation.
const (
	Request Form = 1
	Reply   Form = 2
)

const (
	macLen   = 6
	ethLen   = 14
	arpLen   = 28
	ipv6Len  = 40
	adLen    = 32 // neighbour advertisement with one link-layer address option
	hopLimit = 255
)

// Of NA flags (RFC 4861 §4.4): Router and Override are set, Solicited is not.
// Router as RFC 9568 §6.4.1 has it: nobody chooses a router by this flag alone,
// but a host that does route by the VIP would forget it at a 0.
const naFlags = 0x80 | 0x20

var (
	broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	// allNodesMAC is ff02::1 on Ethernet (RFC 2464 §7).
	allNodesMAC = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}
	allNodes    = netip.MustParseAddr("ff02::1")
)

// Frame returns the Ethernet frame, without padding, that announces vip at mac:
// for IPv4 a gratuitous ARP of the form, broadcast, with the VIP as sender and
// target; for IPv6 an unsolicited neighbour advertisement to all nodes, which has
// one form only. The source of the frame is mac, so that switches learn it. It
// refuses an invalid address, a zone, and a MAC that is not 6 bytes.
func Frame(vip netip.Addr, mac net.HardwareAddr, form Form) ([]byte, error) {
	vip = vip.Unmap()
	switch {
	case !vip.IsValid() || vip.Zone() != "":
		return nil, fmt.Errorf("announce VIP %q: it is not an address without a zone", vip)
	case len(mac) != macLen:
		return nil, fmt.Errorf("announce VIP %s at MAC %q: it has not 6 bytes; only Ethernet can do this", vip, mac)
	case vip.Is6():
		return advertisement(vip, mac), nil
	case form != Request && form != Reply:
		return nil, fmt.Errorf("announce VIP %s: there is no ARP operation %d; use a request or a reply", vip, form)
	}
	return gratuitous(vip, mac, form), nil
}

func ethernet(size int, dst, src net.HardwareAddr, ethertype uint16) []byte {
	b := make([]byte, 0, ethLen+size)
	b = append(append(b, dst...), src...)
	return binary.BigEndian.AppendUint16(b, ethertype)
}

// gratuitous is an ARP packet (RFC 826).
func gratuitous(vip netip.Addr, mac net.HardwareAddr, form Form) []byte {
	b := ethernet(arpLen, broadcast, mac, unix.ETH_P_ARP)
	b = append(b, 0, 1, 0x08, 0, macLen, net.IPv4len)
	b = binary.BigEndian.AppendUint16(b, uint16(form))
	addr := vip.AsSlice()
	b = append(append(b, mac...), addr...)
	// The target's MAC means nothing in a request; in a reply it is the
	// receiver's, which here is everybody.
	target := make(net.HardwareAddr, macLen)
	if form == Reply {
		target = broadcast
	}
	return append(append(b, target...), addr...)
}

// advertisement is an IPv6 packet with an RFC 4861 §4.4 message.
func advertisement(vip netip.Addr, mac net.HardwareAddr) []byte {
	b := ethernet(ipv6Len+adLen, allNodesMAC, mac, unix.ETH_P_IPV6)
	b = append(b, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, adLen)
	b = append(b, unix.IPPROTO_ICMPV6, hopLimit)
	b = append(append(b, vip.AsSlice()...), allNodes.AsSlice()...)
	const typeNA = 136
	b = append(b, typeNA, 0, 0, 0, naFlags, 0, 0, 0)
	b = append(b, vip.AsSlice()...)
	const optionTarget, units = 2, 1
	b = append(append(b, optionTarget, units), mac...)
	sum := checksum(vip, allNodes, b[ethLen+ipv6Len:])
	binary.BigEndian.PutUint16(b[ethLen+ipv6Len+2:], sum)
	return b
}

// checksum is ICMPv6's (RFC 4443 §2.3) over a message of an even length whose
// checksum field is zero.
func checksum(src, dst netip.Addr, message []byte) uint16 {
	sum := uint32(len(message)) + unix.IPPROTO_ICMPV6
	for _, part := range [][]byte{src.AsSlice(), dst.AsSlice(), message} {
		for i := 0; i+1 < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
