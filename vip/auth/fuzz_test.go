package auth_test

import (
	"bytes"
	"testing"

	"sluice/vip/auth"
)

// Whatever is not the trailer that was made for a message is not taken for it.
func FuzzVerify(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.made, v.pseudo, v.message)
	}
	f.Add([]byte{}, []byte{}, []byte{})
	f.Add(make([]byte, auth.TrailerSize), pseudo, message)
	f.Fuzz(func(t *testing.T, trailer, head, body []byte) {
		world := &world{wall: noon}
		keys := keySet(t, 1, map[uint8][]byte{1: secret, 2: []byte("fedcba9876543210fedcba9876543210")})
		good := auth.NewSigner(keys, world.clock()).Append(nil, head, body)
		verifier := auth.NewVerifier(keys, window, world.clock())
		if r := verifier.Verify(alice, trailer, head, body); r.Verdict == auth.OK && !bytes.Equal(trailer, good) {
			t.Fatalf("took %x", trailer)
		}
		if r := verifier.Verify(bob, good, head, body); r.Verdict != auth.OK {
			t.Fatalf("refused its own trailer: %v", r.Verdict)
		}
		if len(trailer) > 0 {
			i, bit := int(trailer[0])%len(good), byte(1)<<(trailer[len(trailer)-1]%8)
			good[i] ^= bit
			if r := verifier.Verify(alice, good, head, body); r.Verdict == auth.OK {
				t.Fatalf("took it with bit %#x of byte %d flipped", bit, i)
			}
		}
	})
}
