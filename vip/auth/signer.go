package auth

import (
	"encoding/binary"
	"sync"
	"time"
)

// Signer makes the trailers of one stream of messages: the receivers of one
// stream see its sequence grow. Streams that reach a receiver by different ways
// need signers of their own. It may be used by several goroutines.
type Signer struct {
	clock *Clock

	mu   sync.Mutex
	keys *Keys
	last Sequence
	used bool
}

// NewSigner makes a signer. Its sequence begins at the clock's steady time.
func NewSigner(keys *Keys, clock *Clock) *Signer { return &Signer{keys: keys, clock: clock} }

// Use changes the keys; the sequence goes on.
func (s *Signer) Use(keys *Keys) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
}

// Append appends to b the trailer of the message in parts. b may hold the
// message itself.
func (s *Signer) Append(b, pseudo []byte, parts ...[]byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	sequence := s.next()
	var head [atMAC]byte
	head[0], head[atKey] = trailerType, s.keys.current
	binary.BigEndian.PutUint64(head[atSequence:], uint64(sequence))
	mac := s.keys.mac(s.keys.current, head[:], pseudo, parts)
	b = append(b, head[:]...)
	return append(b, mac[:]...)
}

// resetAfter is how far the last sequence may be ahead of a clock that was set
// back, before the sequence goes back as well. It is the shortest default window:
// receivers would find the sequence stale until the clock has caught up.
const resetAfter = 5 * time.Second

// next is the clock's sequence, or the one after the last where the clock has
// not moved on, or was anchored a little earlier.
func (s *Signer) next() Sequence {
	sequence := sequenceAt(s.clock.Steady())
	if s.used && !sequence.After(s.last) && s.last.Since(sequence) <= resetAfter {
		sequence = s.last + 1
	}
	s.last, s.used = sequence, true
	return sequence
}
