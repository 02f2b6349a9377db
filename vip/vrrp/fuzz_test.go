package vrrp_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"
	"time"

	"sluice/vip/auth"
	"sluice/vip/auth/authtest"
	"sluice/vip/vrrp"
)

// hostile parses a payload and checks what must hold of any.
func hostile(t testing.TB, p vrrp.Packet, rules vrrp.Rules, verifier *auth.Verifier) (vrrp.Received, vrrp.Refusal, auth.Verdict) {
	before := bytes.Clone(p.Payload)
	r, refusal := vrrp.Parse(p, rules)
	verdict := r.Verify(verifier).Verdict
	if !bytes.Equal(p.Payload, before) {
		t.Fatalf("changed the payload")
	}
	if refusal != vrrp.Accepted {
		if refusal >= vrrp.Refusals || verdict != auth.Malformed || r.Addresses != nil {
			t.Fatalf("%v, %v: %+v", refusal, verdict, r)
		}
		return r, refusal, verdict
	}
	dialect := rules.Dialect
	made, err := vrrp.Append(nil, &r.Advert, vrrp.Path{Source: p.Source.Unmap(), Destination: p.Destination.Unmap()}, dialect, nil)
	if err != nil || len(made) > len(before) || !r.Signed() && len(made) != len(before) {
		t.Fatalf("took what cannot be sent: %v, %x", err, before)
	}
	return r, refusal, verdict
}

func FuzzParseAdvert(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.payload, v.path.Source.Is6(), byte(255), v.dialect == vrrp.WithPseudoHeader)
	}
	f.Add([]byte{}, false, byte(255), false)
	f.Add([]byte{0x31, 1, 100, 255, 0, 100, 0, 0}, true, byte(255), false)
	f.Fuzz(func(t *testing.T, payload []byte, v6 bool, hopLimit byte, pseudo bool) {
		rules := vrrp.Rules{AnyFirst: len(payload)%2 == 1}
		if pseudo {
			rules.Dialect = vrrp.WithPseudoHeader
		}
		p := vrrp.Packet{Path: path("192.0.2.1", "224.0.0.18"), HopLimit: hopLimit, Payload: payload}
		if v6 {
			p.Path = path("fe80::1", "ff02::12")
		}
		hostile(t, p, rules, auth.NewVerifier(authtest.Keys(), time.Second, authtest.Clock()))
	})
}

// F13: a million forged, replayed, cut and mangled adverts, or ten with
// SLUICE_TEST_FULL: no panic, and none is taken that was not signed.
func TestMutatedAdverts(t *testing.T) {
	n := 1_000_000
	if os.Getenv("SLUICE_TEST_FULL") != "" {
		n = 10_000_000
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	list := vectors(t)
	verifier := auth.NewVerifier(authtest.Keys(), auth.MaxWindow, authtest.Clock())
	signed := map[string]bool{}
	for _, v := range list {
		if v.keyID == 7 {
			signed[told(v.path.Source, v.payload)] = true
		}
	}
	var accepted, verified int
	buffer := make([]byte, 0, 4096)
	for range n {
		v := list[r.IntN(len(list))]
		p := vrrp.Packet{Path: v.path, HopLimit: 255, Payload: authtest.Mutate(r, append(buffer[:0], v.payload...), 8)}
		if p.Source.Is4() && len(p.Payload) >= 8 && r.IntN(2) == 0 {
			mend(p.Payload[:min(len(p.Payload)&^1, v.advert.Size(false))])
		}
		got, refusal, verdict := hostile(t, p, vrrp.Rules{}, verifier)
		if refusal == vrrp.Accepted {
			accepted++
		}
		if auth.Enforce.Accepts(verdict) {
			verified++
			if !signed[told(p.Source, p.Payload)] {
				t.Fatalf("took what nobody signed: %+v of %x", got, p.Payload)
			}
		}
	}
	if accepted < n/100 {
		t.Errorf("only %d of %d came as far as the trailer: the test is too coarse", accepted, n)
	}
	if verified > len(signed) {
		t.Errorf("%d taken, but only %d were signed: replays among them", verified, len(signed))
	}
	t.Logf("%d of %d well-formed, %d verified", accepted, n, verified)
}

// told is all of an advert that its signature is about.
func told(source netip.Addr, payload []byte) string {
	return source.String() + string(payload[:6]) + string(payload[8:])
}
