package ring

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
)

// compile drops members without weight and makes the others ready for scoring.
func compile(key Key, members []Member) []candidate {
	sorted := slices.Clone(members)
	slices.SortFunc(sorted, func(a, b Member) int { return a.Addr.Compare(b.Addr) })
	candidates := make([]candidate, 0, len(sorted))
	for rank, m := range sorted {
		if m.Weight > 0 {
			candidates = append(candidates, candidate{
				id: m.ID, stream: stream(key, m.Addr), weight: float64(m.Weight), rank: rank,
			})
		}
	}
	return candidates
}

// stream returns where a member's draws start. IPv4 is hashed as the mapped
// IPv6 address, the shape it has in the maps.
func stream(key Key, addr netip.AddrPort) uint64 {
	ip := addr.Addr().As16()
	return sipHash(key, binary.BigEndian.AppendUint16(ip[:], addr.Port()))
}

// sipHash is SipHash-2-4.
func sipHash(key Key, data []byte) uint64 {
	k0, k1 := binary.LittleEndian.Uint64(key[:]), binary.LittleEndian.Uint64(key[8:])
	v := [4]uint64{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
	last := uint64(len(data)) << 56
	for ; len(data) >= 8; data = data[8:] {
		absorb(&v, binary.LittleEndian.Uint64(data))
	}
	for i, b := range data {
		last |= uint64(b) << (8 * i)
	}
	absorb(&v, last)
	v[2] ^= 0xff
	for range 4 {
		sipRound(&v)
	}
	return v[0] ^ v[1] ^ v[2] ^ v[3]
}

func absorb(v *[4]uint64, m uint64) {
	v[3] ^= m
	sipRound(v)
	sipRound(v)
	v[0] ^= m
}

func sipRound(v *[4]uint64) {
	v[0] += v[1]
	v[1] = bits.RotateLeft64(v[1], 13) ^ v[0]
	v[0] = bits.RotateLeft64(v[0], 32)
	v[2] += v[3]
	v[3] = bits.RotateLeft64(v[3], 16) ^ v[2]
	v[0] += v[3]
	v[3] = bits.RotateLeft64(v[3], 21) ^ v[0]
	v[2] += v[1]
	v[1] = bits.RotateLeft64(v[1], 17) ^ v[2]
	v[2] = bits.RotateLeft64(v[2], 32)
}
