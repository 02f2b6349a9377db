package auth_test

import (
	"net/netip"
	"testing"
	"time"

	"sluice/vip/auth"
)

var (
	alice   = netip.MustParseAddr("192.0.2.1")
	bob     = netip.MustParseAddr("192.0.2.2")
	pseudo  = []byte("pseudo header")
	message = []byte("a message")
	secret  = []byte("0123456789abcdef0123456789abcdef")
)

const window = 5 * time.Second

// pair is a sender and a receiver, each with a machine of its own.
type pair struct {
	*testing.T
	there, here *world
	signer      *auth.Signer
	verifier    *auth.Verifier
}

func newPair(t *testing.T) *pair {
	p := &pair{T: t, there: &world{wall: noon}, here: &world{wall: noon}}
	p.restartThere()
	p.restartHere()
	return p
}

func (p *pair) restartThere() {
	p.signer = auth.NewSigner(keySet(p, 1, map[uint8][]byte{1: secret}), p.there.clock())
}

func (p *pair) restartHere() {
	p.verifier = auth.NewVerifier(keySet(p, 1, map[uint8][]byte{1: secret}), window, p.here.clock())
}

func (p *pair) send() []byte { return p.signer.Append(nil, pseudo, message) }

func (p *pair) verify(trailer []byte) auth.Result {
	return p.verifier.Verify(alice, trailer, pseudo, message)
}

func (p *pair) want(what string, r auth.Result, verdict auth.Verdict, skewed bool) {
	p.Helper()
	if r.Verdict != verdict || r.Skewed != skewed {
		p.Errorf("%s: %v, skewed %v, want %v, %v", what, r.Verdict, r.Skewed, verdict, skewed)
	}
}

// Each byte of what was signed counts, and so does each bit of the trailer.
func TestVerifyTampered(t *testing.T) {
	p := newPair(t)
	good := p.send()
	for bit := range 8 * len(good) {
		bad := append([]byte(nil), good...)
		bad[bit/8] ^= 1 << (bit % 8)
		want := auth.BadMAC
		switch {
		case bit < 8:
			want = auth.Malformed
		case bit == 8: // key id 0 is none
			want = auth.Malformed
		case bit < 16:
			want = auth.UnknownKey
		case bit < 32: // reserved
			want = auth.Malformed
		}
		p.want("flipped bit", p.verify(bad), want, false)
	}
	for size := range 40 {
		want := auth.Malformed
		switch size {
		case 0:
			want = auth.MissingTrailer
		case len(good):
			continue
		}
		p.want("size", p.verify(append(good[:len(good):len(good)], make([]byte, 12)...)[:size]), want, false)
	}
	p.want("other message", p.verifier.Verify(alice, good, pseudo, []byte("b message")), auth.BadMAC, false)
	p.want("other pseudo header", p.verifier.Verify(alice, good, []byte("pseudo headers"), message), auth.BadMAC, false)
	p.want("shifted", p.verifier.Verify(alice, good, append(pseudo, message[0]), message[2:]), auth.BadMAC, false)
	p.want("untouched", p.verify(good), auth.OK, false)
}

func TestVerifyWrongKey(t *testing.T) {
	p := newPair(t)
	p.signer.Use(keySet(t, 1, map[uint8][]byte{1: []byte("another key of thirty-two bytes!")}))
	p.want("other key under the id", p.verify(p.send()), auth.BadMAC, false)
	p.signer.Use(keySet(t, 2, map[uint8][]byte{2: secret}))
	p.want("key under another id", p.verify(p.send()), auth.UnknownKey, false)
}

func TestVerifyReplay(t *testing.T) {
	p := newPair(t)
	first, second, third := p.send(), p.send(), p.send()
	p.want("first", p.verify(first), auth.OK, false)
	p.want("again", p.verify(first), auth.Replayed, false)
	p.want("third", p.verify(third), auth.OK, false)
	p.want("overtaken", p.verify(second), auth.Replayed, false)
	// Another sender has a sequence of his own.
	p.want("other sender", p.verifier.Verify(bob, first, pseudo, message), auth.OK, false)
	p.here.pass(time.Hour)
	p.want("after an hour", p.verify(third), auth.Replayed, false)
}

func TestVerifyWindow(t *testing.T) {
	for _, row := range []struct {
		ahead time.Duration
		want  auth.Verdict
	}{
		{0, auth.OK}, {window, auth.OK}, {-window, auth.OK},
		{window + time.Millisecond, auth.NotFresh}, {-window - time.Millisecond, auth.NotFresh},
		{time.Hour, auth.NotFresh}, {-time.Hour, auth.NotFresh},
		{1 << 32 * time.Second, auth.OK}, // the seconds wrap
	} {
		p := newPair(t)
		p.there.pass(row.ahead)
		p.restartThere()
		p.want(row.ahead.String(), p.verify(p.send()), row.want, false)
	}
}

// An authentic message that is not fresh is new only once, and leaves the way
// open for the sender's fresh ones.
func TestNotFreshIsNoState(t *testing.T) {
	p := newPair(t)
	p.there.pass(time.Hour)
	p.restartThere()
	first, second := p.send(), p.send()
	p.want("first", p.verify(first), auth.NotFresh, false)
	p.want("second", p.verify(second), auth.NotFresh, false)
	p.want("first again", p.verify(first), auth.Replayed, false)
	pass(100*time.Millisecond, p.there, p.here)
	p.want("goes on", p.verify(p.send()), auth.NotFresh, false)
	p.there.step(-time.Hour)
	p.restartThere()
	p.want("corrected", p.verify(p.send()), auth.OK, false)
}

func TestSendersAreBounded(t *testing.T) {
	p := newPair(t)
	from := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
	first := p.send()
	for i := range auth.Senders {
		p.want("fits", p.verifier.Verify(from(i), first, pseudo, message), auth.OK, false)
	}
	p.want("one too many", p.verifier.Verify(from(1000), first, pseudo, message), auth.TooManySenders, false)
	pass(2*window, p.here, p.there)
	second := p.send()
	p.want("still heard", p.verifier.Verify(from(1001), second, pseudo, message), auth.TooManySenders, false)
	pass(time.Second, p.here, p.there)
	third := p.send()
	p.want("known", p.verifier.Verify(from(5), third, pseudo, message), auth.OK, false)
	p.want("room", p.verifier.Verify(from(1002), third, pseudo, message), auth.OK, false)
	p.want("whoever was heard stays", p.verifier.Verify(from(5), third, pseudo, message), auth.Replayed, false)
	// Whoever was forgotten cannot be replayed into the window.
	for i := range auth.Senders {
		if r := p.verifier.Verify(from(i), first, pseudo, message); r.Verdict == auth.OK {
			t.Errorf("sender %d: replayed after being forgotten", i)
		}
	}
}

func TestVerifyAllocates(t *testing.T) {
	p := newPair(t)
	var b []byte
	if n := testing.AllocsPerRun(1000, func() {
		b = p.signer.Append(b[:0], pseudo, message)
		if r := p.verify(b); r.Verdict != auth.OK {
			t.Fatal(r.Verdict)
		}
	}); n > 4 {
		t.Errorf("%v allocations for a message signed and verified", n)
	}
}
