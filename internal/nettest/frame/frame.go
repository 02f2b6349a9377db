// Package frame builds and decodes single Ethernet frames for tests that feed
// packets to a program one by one.
//
// Frames are built by hand, so that every field can lie, and decoded by
// gopacket. The two know nothing of each other: what one gets wrong the other
// does not repeat.
package frame

import (
	"net"
	"net/netip"
)

// Flags are the control bits of a TCP header.
type Flags uint8

// The bits, with their values on the wire.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// EtherTypes and IP protocols that frames are made of.
const (
	TypeIPv4 = 0x0800
	TypeARP  = 0x0806
	TypeVLAN = 0x8100
	TypeIPv6 = 0x86dd

	ProtoHopByHop    = 0
	ProtoICMP        = 1
	ProtoTCP         = 6
	ProtoUDP         = 17
	ProtoRouting     = 43
	ProtoFragment    = 44
	ProtoICMPv6      = 58
	ProtoDestination = 60
)

// Frame is one Ethernet frame. The zero value of a field means what is said
// with it; Decode returns the values as they are on the wire.
//
// What follows the Ethernet header is chosen by the fields: an IPv4 or IPv6
// packet if Src and Dst are set, Payload alone otherwise. In the packet it is a
// TCP segment, or an ICMP message if ICMP is set, or Payload alone if Protocol
// is neither.
type Frame struct {
	// SrcMAC and DstMAC are [02:00:00:00:00:01 and 02:00:00:00:00:02].
	SrcMAC, DstMAC net.HardwareAddr
	// VLANs are the ids of the tags, the outermost first.
	VLANs []uint16
	// EtherType is that of the packet, or of Payload where there is none.
	EtherType uint16

	// Src and Dst are of one family. Their ports are those of TCP.
	Src, Dst netip.AddrPort
	TOS      uint8  // or traffic class
	TTL      *uint8 // or hop limit [64]
	// FlowLabel is IPv6's alone: 20 bits.
	FlowLabel uint32
	// ID is IPv4's identification of 16 bits, or that of IPv6's fragment header.
	ID uint32
	// DontFragment is IPv4's alone.
	DontFragment bool
	// MoreFragments or FragmentOffset make the packet a fragment. The offset is
	// in bytes, a multiple of 8; with one above 0 Payload follows the IP header
	// and no other header does.
	MoreFragments  bool
	FragmentOffset int
	// IPOptions are IPv4's, as they are on the wire: at most 40 bytes, and a
	// multiple of 4.
	IPOptions []byte
	// Extensions are IPv6's, fragment header excepted.
	Extensions []Extension
	// Protocol is the one after IP and its extensions. [by the other fields]
	Protocol uint8

	Flags    Flags
	Seq, Ack uint32
	Window   uint16
	Urgent   uint16
	// Options are TCP's, as they are on the wire: at most 40 bytes, and a
	// multiple of 4. MSS and its like make them.
	Options []byte

	// ICMP makes the packet an ICMP message; Payload is what it quotes.
	ICMP *ICMP

	Payload []byte

	// Length is that of the whole frame: a longer one is padded with zeros
	// behind the packet, a shorter one is cut. [what the packet needs]
	Length int
	// Lies are fields that say what is not so.
	Lies Lies
}

// Extension is an IPv6 extension header: all of it behind its first two bytes,
// so the length of Body is a multiple of 8 less 2.
type Extension struct {
	Type uint8
	Body []byte
}

// ICMP is the head of an ICMP or ICMPv6 message.
type ICMP struct {
	Type, Code uint8
	// Rest is the second word: the MTU of "packet too big", the id and number
	// of an echo.
	Rest uint32
}

// Lies replace fields after everything was computed honestly. A nil one does
// not lie. Checksums are adapted to the lie, still over the true lengths.
type Lies struct {
	IPVersion *uint8
	// IHL is IPv4's header length in words.
	IHL *uint8
	// IPLength is IPv4's total length, or IPv6's payload length.
	IPLength *uint16
	// DataOffset is TCP's header length in words.
	DataOffset *uint8
	// IPChecksum and Checksum, of IPv4 and of TCP or ICMP, are wrong if true.
	IPChecksum, Checksum bool
}

// defaults fills what may be left out.
func (f Frame) defaults() Frame {
	if f.SrcMAC == nil {
		f.SrcMAC = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	}
	if f.DstMAC == nil {
		f.DstMAC = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	}
	if f.Src.Addr().IsValid() {
		f.EtherType = TypeIPv6
		if f.Src.Addr().Is4() {
			f.EtherType = TypeIPv4
		}
		if f.TTL == nil {
			f.TTL = new(uint8(64))
		}
		if f.Protocol == 0 {
			f.Protocol = f.protocol()
		}
	}
	return f
}

// protocol is what the other fields make the packet.
func (f Frame) protocol() uint8 {
	switch {
	case f.ICMP == nil:
		return ProtoTCP
	case f.Src.Addr().Is4():
		return ProtoICMP
	default:
		return ProtoICMPv6
	}
}
