package auth_test

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/vip/auth"
)

// vector is a row of testdata/vectors.txt, which testdata/vectors.py made.
type vector struct {
	name                       string
	key, pseudo, message, made []byte
	id                         uint8
	at                         time.Time
	counter                    int
}

func vectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), " ")
		if len(f) != 9 {
			t.Fatalf("%d columns in %q", len(f), line)
		}
		list = append(list, vector{
			name: f[0], key: unhex(t, f[1]), pseudo: unhex(t, f[3]), message: unhex(t, f[4]), made: unhex(t, f[8]),
			id: uint8(number(t, f[2])), counter: number(t, f[7]),
			// Half a tick more than the fraction, as a clock's reading is never even.
			at: time.Unix(int64(number(t, f[5])), int64(number(t, f[6]))*1e9>>16+7000).UTC(),
		})
	}
	if len(list) < 4 {
		t.Fatalf("only %d vectors", len(list))
	}
	return list
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func number(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func keySet(t testing.TB, current uint8, keys map[uint8][]byte) *auth.Keys {
	t.Helper()
	made := map[uint8]auth.Key{}
	for id, secret := range keys {
		key, err := auth.NewKey(secret)
		if err != nil {
			t.Fatal(err)
		}
		made[id] = key
	}
	set, err := auth.NewKeys(current, made)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Signing gives the bytes of an independent implementation.
func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) {
			keys := keySet(t, v.id, map[uint8][]byte{v.id: v.key})
			world := &world{wall: v.at}
			signer := auth.NewSigner(keys, world.clock())
			var made []byte
			for range v.counter + 1 {
				made = signer.Append([]byte("before"), v.pseudo, v.message)
			}
			if want := append([]byte("before"), v.made...); !bytes.Equal(made, want) {
				t.Errorf("made\n%x, want\n%x", made, want)
			}
		})
	}
}

func TestVectorsVerify(t *testing.T) {
	from := netip.MustParseAddr("192.0.2.1")
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) {
			keys := keySet(t, v.id, map[uint8][]byte{v.id: v.key})
			world := &world{wall: v.at}
			verifier := auth.NewVerifier(keys, 5*time.Second, world.clock())
			// The parts of a message may be cut anywhere.
			cut := len(v.message) / 3
			r := verifier.Verify(from, v.made, v.pseudo, v.message[:cut], v.message[cut:])
			if r.Verdict != auth.OK || r.KeyID != v.id || r.Skewed || r.Skew.Abs() > time.Millisecond {
				t.Errorf("result %+v", r)
			}
		})
	}
}
