package vrrp_test

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/vip/auth"
	"sluice/vip/auth/authtest"
	"sluice/vip/vrrp"
)

// vector is an advert and the payload that it is.
type vector struct {
	name    string
	path    vrrp.Path
	dialect vrrp.Dialect
	advert  vrrp.Advert
	payload []byte
	// keyID and signedAt say how it is signed; 0 stands for not at all.
	keyID    uint8
	signedAt int64
}

func (v vector) signed() bool { return v.keyID != 0 }

// vectors are the rows of testdata/vectors.txt, which testdata/vectors.py made.
func vectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), " ")
		v := vector{name: f[0], path: path(f[1], f[2]), payload: unhex(t, f[10])}
		id, at, _ := strings.Cut(f[9], "@")
		v.keyID, v.signedAt = uint8(number(t, id)), int64(number(t, at))
		if f[3] == "pseudo" {
			v.dialect = vrrp.WithPseudoHeader
		}
		v.advert = vrrp.Advert{
			Version: uint8(number(t, f[4])), VRID: uint8(number(t, f[5])), Priority: uint8(number(t, f[6])),
			Interval: time.Duration(number(t, f[7])) * time.Millisecond, Addresses: addresses(f[8]),
		}
		list = append(list, v)
	}
	if len(list) < 10 {
		t.Fatalf("only %d vectors", len(list))
	}
	return list
}

func path(source, destination string) vrrp.Path {
	return vrrp.Path{Source: netip.MustParseAddr(source), Destination: netip.MustParseAddr(destination)}
}

func addresses(list string) []netip.Addr {
	var made []netip.Addr
	for a := range strings.SplitSeq(list, ",") {
		made = append(made, netip.MustParseAddr(a))
	}
	return made
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
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

func (v vector) signer() *auth.Signer {
	if !v.signed() {
		return nil
	}
	return auth.NewSigner(authtest.KeysOf(v.keyID), authtest.ClockAt(v.signedAt))
}

// verifier knows no sender, and takes only what is signed as the vector is.
func (v vector) verifier() *auth.Verifier {
	return auth.NewVerifier(authtest.KeysOf(max(v.keyID, 1)), time.Second, authtest.ClockAt(v.signedAt))
}

func (v vector) packet() vrrp.Packet {
	return vrrp.Packet{Path: v.path, HopLimit: 255, Payload: bytes.Clone(v.payload)}
}

func same(a, b vrrp.Advert) bool {
	return a.Version == b.Version && a.VRID == b.VRID && a.Priority == b.Priority && a.Interval == b.Interval && slices.Equal(a.Addresses, b.Addresses)
}

// Both ways from the same row: what is sent, and what is understood. The appendix
// rows are the draft's vectors.
func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) {
			made, err := vrrp.Append([]byte("before"), &v.advert, v.path, v.dialect, v.signer())
			if want := append([]byte("before"), v.payload...); err != nil || !bytes.Equal(made, want) {
				t.Errorf("made\n%x, want\n%x; %v", made, want, err)
			}
			if n := v.advert.Size(v.signed()); n != len(v.payload) {
				t.Errorf("size %d, want %d", n, len(v.payload))
			}
			r, refusal := vrrp.Parse(v.packet(), vrrp.Rules{Dialect: v.dialect})
			if refusal != vrrp.Accepted || !same(r.Advert, v.advert) || r.Mismatch || r.Signed() != v.signed() {
				t.Errorf("%v: understood %+v", refusal, r)
			}
			want := auth.MissingTrailer
			if v.signed() {
				want = auth.OK
			}
			if got := r.Verify(v.verifier()); got.Verdict != want {
				t.Errorf("verdict %v, want %v", got.Verdict, want)
			}
		})
	}
}

// The other dialect is taken as well, and told.
func TestOtherDialect(t *testing.T) {
	for _, v := range vectors(t) {
		r, refusal := vrrp.Parse(v.packet(), vrrp.Rules{Dialect: 1 - v.dialect})
		want := v.advert.Version == 3 && v.path.Source.Is4()
		if refusal != vrrp.Accepted || r.Mismatch != want || !same(r.Advert, v.advert) {
			t.Errorf("%s: %v, mismatch %v, want %v", v.name, refusal, r.Mismatch, want)
		}
	}
}
