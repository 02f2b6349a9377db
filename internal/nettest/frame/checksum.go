package frame

import "encoding/binary"

// sum adds the 16-bit words of b, a last odd byte filled up with 0.
func sum(start uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		start += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		start += uint32(b[0]) << 8
	}
	return start
}

// checksum is the internet checksum (RFC 1071) of b, with start added.
func checksum(start uint32, b []byte) uint16 {
	s := sum(start, b)
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

// pseudoHeader is the sum of the addresses, the protocol and the length that
// the checksums of TCP and ICMPv6 cover.
func (f Frame) pseudoHeader(length int) uint32 {
	s := sum(uint32(f.Protocol)+uint32(length), f.Src.Addr().AsSlice())
	return sum(s, f.Dst.Addr().AsSlice())
}

// replace puts value at b[at] and adapts the checksum at b[check:], by the
// difference alone (RFC 1624), so that it need not know what else is covered.
func replace(b []byte, at, check int, value byte) {
	word := at &^ 1
	before := binary.BigEndian.Uint16(b[word:])
	b[at] = value
	after := binary.BigEndian.Uint16(b[word:])
	s := uint32(^binary.BigEndian.Uint16(b[check:])) + uint32(^before) + uint32(after)
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	binary.BigEndian.PutUint16(b[check:], ^uint16(s))
}
