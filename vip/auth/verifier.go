package auth

import (
	"net/netip"
	"sync"
	"time"
)

// Senders is how many senders of one stream a verifier remembers.
const Senders = 64

// Result is what is known of a message after verifying it.
type Result struct {
	Verdict Verdict
	// KeyID is the key that signed, 0 without a trailer.
	KeyID uint8
	// Skew is how far the sender's clock is ahead of ours; it is told for
	// authentic messages.
	Skew time.Duration
	// Skewed says that a message is [OK] although it is out of the window,
	// because it goes on where its sender's last one ended. It is a reason to
	// raise an alarm.
	Skewed bool
}

// Verifier verifies the messages of one stream and remembers the sequence of
// each sender. It may be used by several goroutines.
//
// What it remembers is lost with the process: within a window after a restart,
// a message from before it can be replayed once.
type Verifier struct {
	clock *Clock

	mu      sync.Mutex
	keys    *Keys
	window  time.Duration
	senders map[netip.Addr]*sender
}

// NewVerifier makes a verifier; see [DefaultWindow] for the window.
func NewVerifier(keys *Keys, window time.Duration, clock *Clock) *Verifier {
	v := &Verifier{clock: clock, senders: map[netip.Addr]*sender{}}
	v.Use(keys, window)
	return v
}

// Use changes keys and window; what is known of senders stays. The window is
// brought into [MinWindow] to [MaxWindow].
func (v *Verifier) Use(keys *Keys, window time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys, v.window = keys, min(max(window, MinWindow), MaxWindow)
}

// Verify judges the message in parts with its trailer, nil if there is none.
func (v *Verifier) Verify(from netip.Addr, trailer, pseudo []byte, parts ...[]byte) Result {
	v.mu.Lock()
	defer v.mu.Unlock()
	verdict := v.keys.Check(trailer, pseudo, parts...)
	if verdict == MissingTrailer || verdict == Malformed {
		return Result{Verdict: verdict}
	}
	r := Result{Verdict: verdict, KeyID: trailer[atKey]}
	if verdict == OK {
		v.judge(&r, from, SequenceOf(trailer))
	}
	return r
}

// judge decides whether an authentic message is new and fresh.
func (v *Verifier) judge(r *Result, from netip.Addr, sequence Sequence) {
	now := v.clock.Steady()
	var fresh bool
	r.Skew, fresh = v.skew(sequence, now)
	s := v.sender(from, now)
	switch {
	case s == nil:
		r.Verdict = TooManySenders
	case !s.proven.IsZero() && !sequence.After(s.last) && !(fresh && v.stranded(s, now)):
		r.Verdict = Replayed
	case fresh && s.mayBegin(sequence, now, v.window) || s.continues(sequence, now, v.window):
		r.Skewed = !fresh
		s.last, s.proven = sequence, now
	case s.hasStale && !sequence.After(s.stale):
		r.Verdict = Replayed
	default:
		r.Verdict = NotFresh
		s.stale, s.hasStale = sequence, true
	}
	if s != nil && r.Verdict != Replayed {
		s.heard = now
	}
}

// skew tells how far a sequence is ahead of our clock, and whether that is
// within the window of it. The wall's time counts as well as the steady one: it
// is right again sooner after a virtual machine was stopped.
func (v *Verifier) skew(sequence Sequence, now time.Time) (time.Duration, bool) {
	skew := sequence.Since(sequenceAt(now))
	if skew.Abs() <= v.window {
		return skew, true
	}
	return skew, sequence.Since(sequenceAt(v.clock.Wall())).Abs() <= v.window
}

// stranded says whether a sender's last sequence is out of the window in the
// future: it was fresh by a clock that has been set back since.
func (v *Verifier) stranded(s *sender, now time.Time) bool {
	_, near := v.skew(s.last, now)
	return !near && s.last.After(sequenceAt(now))
}

// sender returns what is known of an address, making room for a new one by
// forgetting one whose messages have all left the window: none of them would be
// let in again. It returns nil if there is no such one.
func (v *Verifier) sender(from netip.Addr, now time.Time) *sender {
	if s := v.senders[from]; s != nil {
		return s
	}
	for a, s := range v.senders {
		if len(v.senders) < Senders {
			break
		}
		if now.Sub(s.heard) > 2*v.window {
			delete(v.senders, a)
		}
	}
	if len(v.senders) >= Senders {
		return nil
	}
	s := &sender{}
	v.senders[from] = s
	return s
}
