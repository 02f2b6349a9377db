package auth_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"sluice/vip/auth"
)

func TestModes(t *testing.T) {
	for _, row := range []struct {
		name                    string
		mode                    auth.Mode
		signs, unsigned, forged bool
	}{
		{"off", auth.Off, false, true, true},
		{"receive_only", auth.ReceiveOnly, false, true, false},
		{"permissive", auth.Permissive, true, true, false},
		{"enforce", auth.Enforce, true, false, false},
	} {
		m, err := auth.ParseMode(row.name)
		if err != nil || m != row.mode || m.String() != row.name {
			t.Errorf("%s is %v, %v", row.name, m, err)
		}
		if m.Signs() != row.signs || !m.Accepts(auth.OK) || m.Accepts(auth.MissingTrailer) != row.unsigned {
			t.Errorf("%v: signs %v, takes unsigned %v", m, m.Signs(), m.Accepts(auth.MissingTrailer))
		}
		for v := auth.Malformed; v < auth.Verdicts; v++ {
			if m.Accepts(v) != row.forged {
				t.Errorf("%v: takes %v: %v", m, v, m.Accepts(v))
			}
		}
	}
	if _, err := auth.ParseMode("Enforce"); err == nil {
		t.Error("took an unknown mode")
	}
}

func TestVerdictNames(t *testing.T) {
	seen := map[string]bool{}
	for v := range auth.Verdicts {
		if v.String() == "" || seen[v.String()] || (v.Advice() == "") != (v == auth.OK) {
			t.Errorf("verdict %d: %q, %q", v, v, v.Advice())
		}
		seen[v.String()] = true
	}
}

func TestDefaultWindow(t *testing.T) {
	for advert, want := range map[time.Duration]time.Duration{
		10 * time.Millisecond: 5 * time.Second, time.Second: 5 * time.Second,
		2 * time.Second: 6 * time.Second, 40950 * time.Millisecond: 122850 * time.Millisecond,
		255 * time.Second: auth.MaxWindow,
	} {
		if w := auth.DefaultWindow(advert); w != want {
			t.Errorf("%v: %v, want %v", advert, w, want)
		}
	}
}

// RFC 1982: adding less than half the numbers makes a sequence that comes after,
// wherever one starts, and time is told right across the wrap.
func TestSequence(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		a := auth.Sequence(r.Uint64())
		d := r.Uint64()>>1 | 1
		if b := a + auth.Sequence(d); !b.After(a) || a.After(b) || a.After(a) {
			t.Fatalf("%x and %x", a, b)
		}
		ticks := r.Int64N(1<<46) - 1<<45
		b := a + auth.Sequence(ticks<<16)
		want := time.Duration(ticks>>16)*time.Second + time.Duration(ticks&0xffff)*time.Second/65536
		if got := b.Since(a); got != want {
			t.Fatalf("%x since %x: %v, want %v", b, a, got, want)
		}
	}
	if half := auth.Sequence(1 << 63); half.After(0) || auth.Sequence(0).After(half) {
		t.Error("half the numbers apart is neither before nor after")
	}
}

// F15: keys are changed and modes swept while adverts go both ways; none is
// lost, because every gateway reaches a step before the first takes the next.
func TestRotationAndModes(t *testing.T) {
	const first, second = 1, 2
	other := []byte("fedcba9876543210fedcba9876543210")
	type step struct {
		mode auth.Mode
		keys *auth.Keys
	}
	before := keySet(t, first, map[uint8][]byte{first: secret})
	both := keySet(t, first, map[uint8][]byte{first: secret, second: other})
	moved := keySet(t, second, map[uint8][]byte{first: secret, second: other})
	after := keySet(t, second, map[uint8][]byte{second: other})
	steps := []step{
		{auth.Off, before}, {auth.ReceiveOnly, before}, {auth.Permissive, before}, {auth.Enforce, before},
		{auth.Enforce, both}, {auth.Enforce, moved}, {auth.Enforce, after},
	}
	p := newPair(t)
	exchange := func(from, to step) {
		t.Helper()
		pass(100*time.Millisecond, p.there, p.here)
		p.signer.Use(from.keys)
		p.verifier.Use(to.keys, window)
		var trailer []byte
		if from.mode.Signs() {
			trailer = p.send()
		}
		if to.mode == auth.Off {
			return
		}
		if r := p.verify(trailer); !to.mode.Accepts(r.Verdict) {
			t.Errorf("%v %v sends, %v %v refuses: %v", from.mode, from.keys, to.mode, to.keys, r.Verdict)
		}
	}
	for i, now := range steps {
		exchange(now, now)
		if i+1 < len(steps) {
			exchange(now, steps[i+1])
			exchange(steps[i+1], now)
		}
	}
	// The sweep proves something only if steps cannot be left out.
	p.signer.Use(after)
	p.verifier.Use(before, window)
	if r := p.verify(p.send()); auth.Enforce.Accepts(r.Verdict) {
		t.Errorf("took a key that is not known: %v", r.Verdict)
	}
}
