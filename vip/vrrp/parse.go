package vrrp

import (
	"encoding/binary"
	"net/netip"
	"time"

	"sluice/vip/auth"
)

// Packet is an advert as a socket gave it.
type Packet struct {
	Path
	// HopLimit is the packet's TTL or hop limit.
	HopLimit uint8
	// Payload is what follows the IP header.
	Payload []byte
}

// Rules say what is taken from others. The zero value is RFC 9568's.
type Rules struct {
	// MinHopLimit is the lowest TTL or hop limit taken; 0 stands for [HopLimit].
	// Only for unicast over routers, and with authentication enforced.
	MinHopLimit uint8
	// Dialect is the one that is expected. Both are taken.
	Dialect Dialect
	// AnyFirst takes IPv6 lists that do not begin with a link-local address, as
	// keepalived sends when it is given none.
	AnyFirst bool
}

// Received is an advert that was taken, and what is needed to verify it. It
// refers to the packet's payload, which must not change before.
type Received struct {
	Advert
	// Mismatch says that the checksum is right by another rule than ours: by the
	// other dialect, or over IPv6 without the trailer.
	Mismatch bool

	source          netip.Addr
	advert, trailer []byte
}

// Parse reads an advert. A refused one has only its VRID and version filled in,
// as far as they were there, for logs.
func Parse(p Packet, rules Rules) (Received, Refusal) {
	r := Received{source: p.Source.Unmap()}
	path := Path{r.source, p.Destination.Unmap()}
	if rules.MinHopLimit == 0 {
		rules.MinHopLimit = HopLimit
	}
	if len(p.Payload) < headerSize {
		return r, Truncated
	}
	r.Version, r.VRID = p.Payload[0]>>4, p.Payload[1]
	refusal := r.frame(p.Payload, path, p.HopLimit < rules.MinHopLimit)
	if refusal == Accepted && !r.verifySum(p.Payload, path, rules.Dialect) {
		refusal = BadChecksum
	}
	if refusal == Accepted {
		refusal = r.fields(rules)
	}
	if refusal != Accepted {
		return Received{Advert: Advert{Version: r.Version, VRID: r.VRID}}, refusal
	}
	return r, Accepted
}

// frame finds the advert and its trailer within the payload, length first.
func (r *Received) frame(payload []byte, path Path, tooFar bool) Refusal {
	v6 := path.Source.Is6()
	switch {
	case tooFar:
		return HopLimitTooLow
	case r.Version != 2 && r.Version != 3:
		return UnknownVersion
	case payload[0]&0xf != advertType:
		return UnknownType
	case !path.Source.IsValid() || !path.Destination.IsValid() || path.Destination.Is6() != v6 || v6 && r.Version == 2:
		return AddressFamily
	}
	length := size(r.Version, v6, int(payload[3]))
	switch rest := len(payload) - length; {
	case rest < 0:
		return Truncated
	case rest != 0 && rest != auth.TrailerSize:
		return TrailingBytes
	}
	r.advert, r.trailer = payload[:length:length], payload[length:]
	return Accepted
}

// verifySum checks the checksum by the rule that is expected, then by the other.
func (r *Received) verifySum(payload []byte, path Path, expected Dialect) bool {
	right := func(d Dialect, over []byte) bool {
		return fold(sum(seed(r.Version, d, path, len(over)), over)) == 0xffff
	}
	over := covered(path, payload, len(r.advert))
	if right(expected, over) {
		return true
	}
	r.Mismatch = right(WithPseudoHeader, r.advert) || right(WithoutPseudoHeader, r.advert)
	return r.Mismatch
}

// fields reads what the advert tells.
func (r *Received) fields(rules Rules) Refusal {
	interval := binary.BigEndian.Uint16(r.advert[4:])
	switch {
	case r.VRID == 0:
		return VRIDZero
	case r.Version == 2 && interval>>8 == 1:
		return AuthPassword
	case r.Version == 2 && interval>>8 != 0:
		return AuthType
	case r.Version == 2:
		r.Interval = time.Duration(interval) * time.Second
	default:
		// The upper four bits are reserved, and ignored.
		r.Interval = time.Duration(interval&0xfff) * 10 * time.Millisecond
	}
	switch {
	case r.Interval == 0:
		return IntervalZero
	case r.advert[3] == 0:
		return CountZero
	}
	r.Priority = r.advert[2]
	return r.addresses(int(r.advert[3]), rules.AnyFirst)
}

// addresses reads the list.
func (r *Received) addresses(count int, anyFirst bool) Refusal {
	width := r.source.BitLen() / 8
	list := make([]netip.Addr, 0, count)
	for b := r.advert[headerSize:]; len(list) < count; b = b[width:] {
		a, _ := netip.AddrFromSlice(b[:width])
		if !mayBeVirtual(a) {
			return BadAddress
		}
		list = append(list, a)
	}
	if width == 16 && !anyFirst && !list[0].IsLinkLocalUnicast() {
		return FirstNotLinkLocal
	}
	r.Addresses = list
	return Accepted
}
