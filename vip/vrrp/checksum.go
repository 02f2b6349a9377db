package vrrp

import (
	"encoding/binary"
	"net/netip"
)

// sum adds bytes as 16-bit words to a one's complement sum (RFC 1071).
func sum(acc uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		acc += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		acc += uint32(b[0]) << 8
	}
	return acc
}

// fold brings a sum into 16 bits.
func fold(acc uint32) uint16 {
	for acc > 0xffff {
		acc = acc&0xffff + acc>>16
	}
	return uint16(acc) //nolint:gosec // just brought into range
}

// pseudo is the sum of the pseudo header of a packet with size bytes of payload
// (RFC 9293 §3.1 for IPv4, RFC 8200 §8.1 for IPv6).
func pseudo(p Path, size int) uint32 {
	acc := uint32(Protocol + size) //nolint:gosec // a packet's size
	for _, a := range [...]netip.Addr{p.Source, p.Destination} {
		if a.Is4() {
			b := a.As4()
			acc = sum(acc, b[:])
		} else {
			b := a.As16()
			acc = sum(acc, b[:])
		}
	}
	return acc
}

// covered is what the checksum of a payload is over: for IPv4 the advert
// without its trailer, for IPv6 all of it as with every upper layer there,
// because a receiver's kernel may check that.
func covered(path Path, payload []byte, advert int) []byte {
	if path.Source.Is4() {
		return payload[:advert]
	}
	return payload
}

// seed is the sum to begin with for a version, family and dialect.
func seed(version uint8, d Dialect, p Path, size int) uint32 {
	if version == 3 && (p.Source.Is6() || d == WithPseudoHeader) {
		return pseudo(p, size)
	}
	return 0
}
