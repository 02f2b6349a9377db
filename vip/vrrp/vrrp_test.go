package vrrp_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"sluice/vip/auth"
	"sluice/vip/auth/authtest"
	"sluice/vip/vrrp"
)

func TestTimers(t *testing.T) {
	for _, row := range []struct {
		priority            uint8
		interval, skew, all time.Duration
	}{
		{255, time.Second, 3906250, 3003906250},
		{254, 100 * time.Millisecond, 781250, 300781250},
		{100, time.Second, 609375000, 3609375000},
		{100, 100 * time.Millisecond, 60937500, 360937500},
		{1, 10 * time.Millisecond, 9960937, 39960937},
		{0, time.Second, time.Second, 4 * time.Second},
		{1, vrrp.MaxInterval, 40790039062, 163640039062},
	} {
		if skew := vrrp.Skew(row.priority, row.interval); skew != row.skew {
			t.Errorf("%d, %v: skew %d, want %d", row.priority, row.interval, skew, row.skew)
		}
		if all := vrrp.DownInterval(row.priority, row.interval); all != row.all {
			t.Errorf("%d, %v: down after %d, want %d", row.priority, row.interval, all, row.all)
		}
	}
	for p := 1; p < 256; p++ {
		if vrrp.Skew(uint8(p), vrrp.MinInterval) >= vrrp.Skew(uint8(p-1), vrrp.MinInterval) {
			t.Errorf("priority %d waits as long as %d", p, p-1)
		}
	}
}

func TestGroups(t *testing.T) {
	if vrrp.Group4 != netip.MustParseAddr("224.0.0.18") || vrrp.Group6 != netip.MustParseAddr("ff02::12") {
		t.Errorf("groups %v and %v", vrrp.Group4, vrrp.Group6)
	}
}

// anyAdvert is one of all that can be sent, with its path.
func anyAdvert(r *rand.Rand) (vrrp.Advert, vrrp.Path) {
	a := vrrp.Advert{Version: 3, VRID: uint8(1 + r.IntN(255)), Priority: uint8(r.IntN(256)), Interval: time.Duration(1+r.IntN(4095)) * 10 * time.Millisecond}
	p := vrrp.Path{Source: anyAddr(r, false), Destination: vrrp.Group4}
	v6 := r.IntN(2) == 0
	switch {
	case v6:
		p = vrrp.Path{Source: anyAddr(r, true), Destination: vrrp.Group6}
	case r.IntN(2) == 0:
		a.Version, a.Interval = 2, time.Duration(1+r.IntN(255))*time.Second
	}
	for range 1 + r.IntN(255) {
		a.Addresses = append(a.Addresses, anyAddr(r, v6))
	}
	return a, p
}

// anyAddr is a link-local address for IPv6, and nobody's network for IPv4.
func anyAddr(r *rand.Rand, v6 bool) netip.Addr {
	if !v6 {
		return netip.AddrFrom4([4]byte{10, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
	}
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: byte(r.Uint32()), 15: byte(r.Uint32())})
}

// What is sent is understood, in any dialect, signed or not, and says the same
// when sent again.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	signer, verifier := auth.NewSigner(authtest.Keys(), authtest.Clock()), auth.NewVerifier(authtest.Keys(), auth.MaxWindow, authtest.Clock())
	for range 5_000 {
		a, p := anyAdvert(r)
		d := vrrp.Dialect(r.IntN(2))
		with := signer
		if r.IntN(2) == 0 {
			with = nil
		}
		b, err := vrrp.Append(nil, &a, p, d, with)
		if err != nil {
			t.Fatalf("%+v: %v", a, err)
		}
		got, refusal := vrrp.Parse(vrrp.Packet{Path: p, HopLimit: 255, Payload: b}, vrrp.Rules{Dialect: d})
		if refusal != vrrp.Accepted || !same(a, got.Advert) || got.Mismatch {
			t.Fatalf("%v: sent %+v, understood %+v", refusal, a, got)
		}
		// Each source is a sender of its own: too many for one verifier.
		if v := got.Verify(verifier).Verdict; with != nil && v != auth.OK && v != auth.TooManySenders || with == nil && v != auth.MissingTrailer {
			t.Fatalf("verdict %v", v)
		}
		plain, err := vrrp.Append(nil, &got.Advert, p, d, nil)
		if err != nil || with == nil && !bytes.Equal(plain, b) {
			t.Fatalf("sent again: %x, not %x; %v", plain, b, err)
		}
	}
}

// A trailer cannot be carried from one conversation into another.
func TestSplice(t *testing.T) {
	v := find(t, "v3_ipv4_plain_signed")
	for name, change := range map[string]func(*vrrp.Packet){
		"other source":   func(p *vrrp.Packet) { p.Source = netip.MustParseAddr("192.0.2.2") },
		"other VRID":     func(p *vrrp.Packet) { p.Payload[1]++; p.Payload[7]--; p.Payload[6]-- },
		"other priority": func(p *vrrp.Packet) { p.Payload[2] = 255; mend(p.Payload[:16]) },
		"other address":  func(p *vrrp.Packet) { p.Payload[11]++; mend(p.Payload[:16]) },
	} {
		p := v.packet()
		change(&p)
		mend(p.Payload[:16])
		r, refusal := vrrp.Parse(p, vrrp.Rules{})
		if got := r.Verify(auth.NewVerifier(authtest.Keys(), time.Second, authtest.Clock())); refusal != vrrp.Accepted || got.Verdict != auth.BadMAC {
			t.Errorf("%s: %v, %v", name, refusal, got.Verdict)
		}
	}
	// The other checksum dialect is only another checksum, which is not signed.
	p := v.packet()
	copy(p.Payload[6:], find(t, "v3_ipv4_pseudo_signed").payload[6:8])
	r, refusal := vrrp.Parse(p, vrrp.Rules{})
	if got := r.Verify(auth.NewVerifier(authtest.Keys(), time.Second, authtest.Clock())); refusal != vrrp.Accepted || !r.Mismatch || got.Verdict != auth.OK {
		t.Errorf("other dialect: %v, %v", refusal, got.Verdict)
	}
}

// Over IPv6 a checksum over the advert alone is taken as well, and told.
func TestChecksumWithoutTrailer(t *testing.T) {
	v := find(t, "v3_ipv6_signed")
	p := v.packet()
	copy(p.Payload[6:], find(t, "v3_ipv6").payload[6:8])
	r, refusal := vrrp.Parse(p, vrrp.Rules{})
	if got := r.Verify(auth.NewVerifier(authtest.Keys(), time.Second, authtest.Clock())); refusal != vrrp.Accepted || !r.Mismatch || got.Verdict != auth.OK {
		t.Errorf("%v, mismatch %v, %v", refusal, r.Mismatch, got.Verdict)
	}
}

func TestRefusedIsNotVerified(t *testing.T) {
	r, _ := vrrp.Parse(vrrp.Packet{}, vrrp.Rules{})
	if got := r.Verify(auth.NewVerifier(authtest.Keys(), time.Second, authtest.Clock())); got.Verdict != auth.Malformed {
		t.Errorf("verdict %v", got.Verdict)
	}
}

func TestAdvertAllocates(t *testing.T) {
	v := find(t, "v3_ipv6_signed")
	signer, verifier := v.signer(), v.verifier()
	var b []byte
	if n := testing.AllocsPerRun(1000, func() {
		var err error
		if b, err = vrrp.Append(b[:0], &v.advert, v.path, v.dialect, signer); err != nil {
			t.Fatal(err)
		}
		r, refusal := vrrp.Parse(vrrp.Packet{Path: v.path, HopLimit: 255, Payload: b}, vrrp.Rules{})
		if got := r.Verify(verifier); refusal != vrrp.Accepted || got.Verdict != auth.OK {
			t.Fatal(refusal, got.Verdict)
		}
	}); n > 8 {
		t.Errorf("%v allocations for an advert sent and verified", n)
	}
}
