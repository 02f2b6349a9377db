// Package authtest has what tests of signed messages share: a set of keys, a
// clock that stands still, and a way to mangle bytes.
package authtest

import (
	"math/rand/v2"
	"time"

	"sluice/vip/auth"
)

// Keys is a set of the one key 00 01 … 1f under id 7, by which most of testdata
// is signed.
func Keys() *auth.Keys { return KeysOf(7) }

// KeysOf has the same key under another id, 1 to 255.
func KeysOf(id uint8) *auth.Keys {
	secret := make([]byte, auth.MinKey)
	for i := range secret {
		secret[i] = byte(i)
	}
	key, err := auth.NewKey(secret)
	if err != nil {
		panic(err)
	}
	keys, err := auth.NewKeys(id, map[uint8]auth.Key{id: key})
	if err != nil {
		panic(err)
	}
	return keys
}

// Clock stands still at the instant at which most of testdata is signed.
func Clock() *auth.Clock { return ClockAt(1782432000) }

// ClockAt stands still half a second after a whole one of Unix time.
func ClockAt(seconds int64) *auth.Clock {
	return auth.NewClock(func() time.Time { return time.Unix(seconds, 500_000_000) }, func() time.Duration { return 0 })
}

// Mutate damages bytes in place in one to three of many ways: bits, bytes, cuts,
// repetitions, and the first head bytes more often than others. It may grow or
// shrink them.
func Mutate(r *rand.Rand, b []byte, head int) []byte {
	for range 1 + r.IntN(3) {
		if len(b) == 0 {
			return append(b, byte(r.Uint32()))
		}
		at := r.IntN(len(b))
		switch r.IntN(7) {
		case 0:
			b[at] ^= 1 << r.IntN(8)
		case 1:
			b[at] = byte(r.Uint32())
		case 2:
			b = b[:at]
		case 3:
			b = append(b, byte(r.Uint32()))
		case 4:
			b = append(b, b[at:]...)
		case 5:
			copy(b[at:], b[r.IntN(len(b)):])
		case 6:
			b[at%min(head, len(b))] = byte(r.Uint32())
		}
	}
	return b
}
