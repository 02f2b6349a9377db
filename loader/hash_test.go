package loader

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// siphash is SipHash-c-d written down from the paper, over bytes: a second
// opinion on the one over words. A fixed message is whole blocks, of a number
// that goes without saying.
func siphash(c, d int, key, message []byte, fixed bool) uint64 {
	k0, k1 := binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[8:])
	v := [4]uint64{k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573}
	turn := func(x uint64, n uint) uint64 { return x<<n | x>>(64-n) }
	rounds := func(n int) {
		for range n {
			v[0], v[2] = v[0]+v[1], v[2]+v[3]
			v[1], v[3] = turn(v[1], 13), turn(v[3], 16)
			v[1], v[3] = v[1]^v[0], v[3]^v[2]
			v[0] = turn(v[0], 32)
			v[2], v[0] = v[2]+v[1], v[0]+v[3]
			v[1], v[3] = turn(v[1], 17), turn(v[3], 21)
			v[1], v[3] = v[1]^v[2], v[3]^v[0]
			v[2] = turn(v[2], 32)
		}
	}
	padded := message
	if !fixed {
		// The last block is what is left of the message, and its length on top.
		padded = append(append([]byte(nil), message...), make([]byte, 8-len(message)%8)...)
		padded[len(padded)-1] = byte(len(message))
	}
	for i := 0; i < len(padded); i += 8 {
		m := binary.LittleEndian.Uint64(padded[i:])
		v[3] ^= m
		rounds(c)
		v[0] ^= m
	}
	v[2] ^= 0xff
	rounds(d)
	return v[0] ^ v[1] ^ v[2] ^ v[3]
}

func counting(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// The second opinion is checked against published values first: appendix A of
// the paper, and the hash of nothing under no key in Rust's standard library.
func TestSecondOpinion(t *testing.T) {
	tests := map[string]struct {
		c, d         int
		key, message []byte
		want         uint64
	}{
		"paper":       {2, 4, counting(16), counting(15), 0xa129ca6149be45e5},
		"paper empty": {2, 4, counting(16), nil, 0x726fdb47dd0e0e31},
		"paper 8":     {2, 4, counting(16), counting(8), 0x93f5f5799a932462},
		"1-3 empty":   {1, 3, make([]byte, 16), nil, 0xd1fba762150c532c},
	}
	for name, tt := range tests {
		if got := siphash(tt.c, tt.d, tt.key, tt.message, false); got != tt.want {
			t.Errorf("%s: %#x, want %#x", name, got, tt.want)
		}
	}
}

func TestSumIsSipHash(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for words := range 6 {
		for range 200 {
			var key [16]byte
			for i := range key {
				key[i] = byte(random.Uint32())
			}
			var message []byte
			in := make([]uint64, words)
			for i := range in {
				in[i] = random.Uint64()
				message = binary.LittleEndian.AppendUint64(message, in[i])
			}
			got, want := newHashKey(key).sum(in...), siphash(1, 3, key[:], message, false)
			if got != want {
				t.Fatalf("sum of %d words is %#x, SipHash-1-3 of their bytes is %#x", words, got, want)
			}
		}
	}
}

// What goes into the hash of a flow, and where it falls: other gateways of the
// cluster, and other versions of this program, must agree.
func TestFlowHashGolden(t *testing.T) {
	key := newHashKey([16]byte(counting(16)))
	tests := []struct {
		client, listen string
		entry          int
	}{
		{"192.0.2.100:40000", "192.0.2.3:22", 55478},
		{"192.0.2.100:40001", "192.0.2.3:22", 3659},
		{"192.0.2.100:40000", "192.0.2.3:2022", 52699},
		{"[2001:db8:1::100]:40000", "[2001:db8:1::3]:22", 36526},
		{"[::1]:1", "[2001:db8:1::3]:22", 53929},
	}
	for _, tt := range tests {
		client, listen := netip.MustParseAddrPort(tt.client), netip.MustParseAddrPort(tt.listen)
		hash := siphash(1, 3, counting(16), clientBlocks(client), true) ^ saltOf(listen)
		if got := key.flow(client, key.salt(listen)); got != hash {
			t.Errorf("%s at %s hashes to %#x, want %#x", tt.client, tt.listen, got, hash)
		}
		if got := ringEntry(hash); got != tt.entry {
			t.Errorf("%s at %s falls on entry %d, want %d", tt.client, tt.listen, got, tt.entry)
		}
	}
}

// saltOf is made of the cluster's key, VIP and port.
func saltOf(listen netip.AddrPort) uint64 {
	b := listen.Addr().As16()
	return siphash(1, 3, counting(16), binary.LittleEndian.AppendUint64(b[:], 0x736c756963650000^uint64(listen.Port())), false)
}

// clientBlocks is what is hashed: two bytes for a host's number, the port, then
// IPv4's address; or IPv6's, and behind it the others, filled up.
func clientBlocks(a netip.AddrPort) []byte {
	port := binary.BigEndian.AppendUint16(make([]byte, 2), a.Port())
	if a.Addr().Is4() {
		return append(port, a.Addr().AsSlice()...)
	}
	return append(append(a.Addr().AsSlice(), port...), make([]byte, 4)...)
}

// Every entry is reached, and none much more than another.
func TestRingEntriesAreEven(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	const per = 32
	hits := make([]int, RingEntries)
	for range per * RingEntries {
		entry := ringEntry(random.Uint64())
		if entry < 0 || entry >= RingEntries {
			t.Fatalf("entry %d", entry)
		}
		hits[entry]++
	}
	for i, n := range hits {
		// Six standard deviations of a Poisson distribution of mean 32, and more.
		if n == 0 || n > 3*per {
			t.Errorf("entry %d was hit %d times, the mean is %d", i, n, per)
		}
	}
	for hash, want := range map[uint64]int{0: 0, ^uint64(0): RingEntries - 1, 1<<32 - 1: 0} {
		if got := ringEntry(hash); got != want {
			t.Errorf("hash %#x falls on entry %d, want %d", hash, got, want)
		}
	}
}

// The key check tells keys apart and does not depend on anything else.
func TestKeyCheck(t *testing.T) {
	a, b := newHashKey([16]byte{1}), newHashKey([16]byte{2})
	if a.check() == b.check() || a.check() == 0 || a.check() != newHashKey([16]byte{1}).check() {
		t.Errorf("checks of two keys are %#x and %#x", a.check(), b.check())
	}
}
