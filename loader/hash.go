package loader

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// hashKey is the secret of a hash. That of a cluster is the same on all its
// gateways, so that they agree on the ring entry of a client.
type hashKey [2]uint64

func newHashKey(key [16]byte) hashKey {
	return hashKey{binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])}
}

// sum is SipHash-1-3 over words followed by their length, as bpf/hash.h has it.
func (k hashKey) sum(words ...uint64) uint64 {
	return k.words(append(words, uint64(len(words)*8)<<56)...)
}

// words is the same over words that end with their length, or are as many for
// every input.
func (k hashKey) words(words ...uint64) uint64 {
	s := sip{
		k[0] ^ 0x736f6d6570736575,
		k[1] ^ 0x646f72616e646f6d,
		k[0] ^ 0x6c7967656e657261,
		k[1] ^ 0x7465646279746573,
	}
	for _, w := range words {
		s.word(w)
	}
	s.c ^= 0xff
	for range 3 {
		s.round()
	}
	return s.a ^ s.b ^ s.c ^ s.d
}

// flow is the hash of a client under a service's salt, as bpf/hash.h has it.
func (k hashKey) flow(client netip.AddrPort, salt uint64) uint64 { return k.endpoint(client, 0) ^ salt }

// endpoint is the hash of an address and port and of a few bits more: IPv4's are
// one word.
func (k hashKey) endpoint(client netip.AddrPort, more uint16) uint64 {
	b := client.Addr().As16()
	last := uint64(swap16(client.Port()))<<16 | uint64(more)
	if client.Addr().Unmap().Is4() {
		return k.words(uint64(binary.LittleEndian.Uint32(b[12:]))<<32 | last)
	}
	return k.words(binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:]), last)
}

// connection names a connection of a client, as bpf/hash.h has it.
func (k hashKey) connection(client netip.AddrPort, salt uint64, isn uint32) (id ConnectionID) {
	const bytes, domain = 32 << 56, 1
	b := client.Addr().As16()
	high, low := binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:])
	for half := range uint64(2) {
		last := uint64(isn)<<32 | uint64(client.Port())<<16 | half
		binary.LittleEndian.PutUint64(id[8*half:], k.words(high, low, salt, last, bytes|domain))
	}
	return id
}

// salt tells the hashes of a service's clients from those of others. It is made
// of VIP and port, not of the id, which differs from gateway to gateway.
func (k hashKey) salt(listen netip.AddrPort) uint64 {
	const saltOfServices = 0x736c756963650000
	b := listen.Addr().As16()
	return k.sum(binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:]), saltOfServices^uint64(listen.Port()))
}

// check identifies the key without telling it.
func (k hashKey) check() uint64 {
	const checkOfKey = 0x636865636b000000
	return k.sum(checkOfKey)
}

// ringEntry is the entry of the ring a hash falls on.
func ringEntry(hash uint64) int {
	return int(hash >> 32 * RingEntries >> 32)
}

type sip struct{ a, b, c, d uint64 }

func (s *sip) word(w uint64) {
	s.d ^= w
	s.round()
	s.a ^= w
}

func (s *sip) round() {
	s.a += s.b
	s.c += s.d
	s.b = bits.RotateLeft64(s.b, 13) ^ s.a
	s.d = bits.RotateLeft64(s.d, 16) ^ s.c
	s.a = bits.RotateLeft64(s.a, 32)
	s.c += s.b
	s.a += s.d
	s.b = bits.RotateLeft64(s.b, 17) ^ s.c
	s.d = bits.RotateLeft64(s.d, 21) ^ s.a
	s.c = bits.RotateLeft64(s.c, 32)
}
