package heartbeat

import (
	"math/bits"
	"time"
)

// history is which of the last 64 sequences have arrived.
type history struct {
	highest uint64
	bits    uint64 // bit i is highest-i
	span    uint8  // how many of the bits mean something
}

// arrive notes a sequence. It is false if it is not the highest so far; new says
// whether it had not arrived before, as far as that is remembered.
func (h *history) arrive(sequence uint64) (highest, isNew bool) {
	if h.span == 0 {
		*h = history{highest: sequence, bits: 1, span: 1}
		return true, true
	}
	if sequence > h.highest {
		ahead := sequence - h.highest
		h.bits, h.highest = h.bits<<ahead|1, sequence
		h.span = uint8(min(uint64(h.span)+min(ahead, 64), 64)) //nolint:gosec // at most 64
		return true, true
	}
	behind := h.highest - sequence
	if behind >= uint64(h.span) || h.bits>>behind&1 == 1 {
		return false, false
	}
	h.bits |= 1 << behind
	return false, true
}

// loss is the share of the span messages up to a sequence that have not arrived,
// moved on to end more sequences later, none of which has arrived, or earlier.
func loss(arrived uint64, span uint8, more int64) float64 {
	n := min(int64(span)+more, 64)
	if n <= 0 {
		return 0
	}
	if more < 0 {
		arrived >>= -more
	} else {
		arrived <<= more
	}
	missing := n - int64(bits.OnesCount64(arrived&(1<<n-1)))
	return float64(missing) / float64(n)
}

// run is what is known of one run of the peer.
type run struct {
	boot    Boot
	at      time.Time // when its latest message arrived
	arrived history
}

// arrive notes a message of this run.
func (r *run) arrive(m *Message, now time.Time) Freshness {
	highest, isNew := r.arrived.arrive(m.Sequence)
	switch {
	case highest:
		r.at = now
		return Fresh
	case isNew:
		return Late
	}
	return Replayed
}

// sent is when our latest messages were sent.
type sent struct {
	last  uint64
	times [256]time.Time
}

// next is the sequence of a message sent now.
func (s *sent) next(now time.Time) uint64 {
	s.last++
	s.times[s.last%uint64(len(s.times))] = now
	return s.last
}

// at is when a message was sent, if that is remembered.
func (s *sent) at(sequence uint64) (time.Time, bool) {
	if sequence == 0 || sequence > s.last || sequence+uint64(len(s.times)) <= s.last {
		return time.Time{}, false
	}
	return s.times[sequence%uint64(len(s.times))], true
}

// by is the last message sent by a time, or the one before all remembered.
func (s *sent) by(t time.Time) uint64 {
	q := s.last
	for at, ok := s.at(q); ok && at.After(t); at, ok = s.at(q) {
		q--
	}
	return q
}
