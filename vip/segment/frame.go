package segment

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"sluice/vip/socket"
)

// Lengths of headers, in bytes.
const (
	ethernetLength = 14
	ipv4Length     = 20
	ipv6Length     = 40
)

// dontFragment is the DF bit beside the fragment offset of an IPv4 header.
const dontFragment = 0x4000

// header is what stands before a payload on the wire, all of it ours.
type header struct {
	mac           net.HardwareAddr
	from, to      netip.Addr
	ttl, protocol int
}

// frame returns an Ethernet frame; EMSGSIZE where IP has no number for such a
// length.
func (h header) frame(payload []byte) ([]byte, error) {
	if len(payload) > 0xffff-ipv6Length {
		return nil, unix.EMSGSIZE
	}
	frame := make([]byte, 0, ethernetLength+ipv6Length+len(payload))
	frame = append(frame, groupMAC(h.to)...)
	frame = append(frame, h.mac...)
	frame = binary.BigEndian.AppendUint16(frame, etherType(h.to))
	if h.to.Is4() {
		frame = h.appendIPv4(frame, len(payload))
	} else {
		frame = h.appendIPv6(frame, len(payload))
	}
	return append(frame, payload...), nil
}

// appendIPv4 appends a header without options (RFC 791). It cannot be cut into
// fragments, so it needs no identification (RFC 6864 §4.1).
func (h header) appendIPv4(b []byte, payload int) []byte {
	start := len(b)
	b = append(b, 0x45, socket.ClassSelector6)
	b = binary.BigEndian.AppendUint16(b, uint16(ipv4Length+payload))
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint16(b, dontFragment)
	b = append(b, byte(h.ttl), byte(h.protocol), 0, 0)
	b = append(b, h.from.AsSlice()...)
	b = append(b, h.to.AsSlice()...)
	binary.BigEndian.PutUint16(b[start+10:], checksum(b[start:]))
	return b
}

// appendIPv6 appends a header without extensions (RFC 8200 §3).
func (h header) appendIPv6(b []byte, payload int) []byte {
	const version = 6 << 28
	b = binary.BigEndian.AppendUint32(b, version|socket.ClassSelector6<<20)
	b = binary.BigEndian.AppendUint16(b, uint16(payload))
	b = append(b, byte(h.protocol), byte(h.ttl))
	b = append(b, h.from.AsSlice()...)
	return append(b, h.to.AsSlice()...)
}

// checksum is that of an IPv4 header (RFC 1071); its length is even.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// groupMAC is the Ethernet address of a multicast group (RFC 1112 §6.4,
// RFC 2464 §7).
func groupMAC(group netip.Addr) net.HardwareAddr {
	b := group.AsSlice()
	if group.Is4() {
		return net.HardwareAddr{0x01, 0x00, 0x5e, b[1] & 0x7f, b[2], b[3]}
	}
	return net.HardwareAddr{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

func etherType(to netip.Addr) uint16 {
	if to.Is4() {
		return unix.ETH_P_IP
	}
	return unix.ETH_P_IPV6
}

// linkAddr is where a packet socket sends a frame for a group.
func linkAddr(link socket.Link, to netip.Addr) unix.Sockaddr {
	// The kernel wants the type in network order.
	var order [2]byte
	binary.BigEndian.PutUint16(order[:], etherType(to))
	sa := &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16(order[:]), Ifindex: link.Index, Halen: 6}
	copy(sa.Addr[:], groupMAC(to))
	return sa
}
