package auth

import "time"

// sender is what is known of one source address.
type sender struct {
	heard time.Time // steady time of the last message of either kind
	// last is the sequence of the last message that was OK, at the steady time
	// proven; nothing has been OK while proven is zero.
	last   Sequence
	proven time.Time
	// stale is the sequence of the last message that was not fresh.
	stale    Sequence
	hasStale bool
}

// mayBegin says whether a fresh sequence is believed: one that follows the last
// is, one before a stranded last only when the sender has been silent for a
// window. Otherwise a recording from before could break in on a living sender.
func (s *sender) mayBegin(sequence Sequence, now time.Time, window time.Duration) bool {
	return s.proven.IsZero() || sequence.After(s.last) || now.Sub(s.proven) > window
}

// continues says whether a sequence follows the sender's last without a gap, by
// its clock and by ours: the sender has been with us all the time, and it is
// only that the clocks have come apart.
func (s *sender) continues(sequence Sequence, now time.Time, window time.Duration) bool {
	return !s.proven.IsZero() && sequence.After(s.last) && sequence.Since(s.last) <= window && now.Sub(s.proven) <= window
}
