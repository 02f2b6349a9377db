// Package auth signs and verifies the adverts and heartbeats of gateways that
// share a key: the trailer of draft-cassen-vrrp-auth-hmac. It opens no socket
// and reads no clock but the one it is given.
//
// A trailer is [TrailerSize] bytes behind the message:
//
//	type 1 | key id | 0 0 | UTC seconds (4) | fraction (2) | counter (2) | HMAC (16)
//
// The HMAC is HMAC-SHA256 cut to 16 bytes, over a pseudo header that says which
// conversation the message is of, the message, the trailer's first 12 bytes and
// 16 zero bytes. The pseudo header is the caller's: adverts have the draft's,
// heartbeats one of their own.
package auth

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// TrailerSize is how many bytes a trailer is.
const TrailerSize = 28

// trailerType is the only type there is.
const trailerType = 1

// Where the parts of a trailer begin.
const (
	atKey      = 1
	atSequence = 4
	atMAC      = 12
	macSize    = TrailerSize - atMAC
)

// Limits of the replay window. A sender and a receiver whose clocks differ by
// more do not understand each other.
const (
	MinWindow = time.Second
	MaxWindow = 300 * time.Second
)

// DefaultWindow is the replay window for an advert interval: three intervals,
// and at least 5 s.
func DefaultWindow(advert time.Duration) time.Duration {
	return min(max(3*advert, 5*time.Second), MaxWindow)
}

// Mode is how far authentication has been brought in. A cluster goes from one
// mode to the next without losing an advert when every gateway has reached a
// mode before the first goes on.
type Mode uint8

// The modes, in the order in which a cluster goes through them.
const (
	// Off signs nothing and looks at no trailer.
	Off Mode = iota
	// ReceiveOnly signs nothing; what is signed must verify.
	ReceiveOnly
	// Permissive signs; what is signed must verify, unsigned messages are taken.
	Permissive
	// Enforce signs, and takes only what verifies.
	Enforce
)

var modeNames = [...]string{"off", "receive_only", "permissive", "enforce"}

// String returns the mode's name in settings.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// ParseMode returns the mode of a name in settings.
func ParseMode(name string) (Mode, error) {
	for m, n := range modeNames {
		if n == name {
			return Mode(m), nil //nolint:gosec // there are four
		}
	}
	return Off, fmt.Errorf("authentication mode %q: not one of %s", name, strings.Join(modeNames[:], ", "))
}

// Signs says whether messages are sent with a trailer.
func (m Mode) Signs() bool { return m == Permissive || m == Enforce }

// Accepts says whether a message with this verdict may change anything.
func (m Mode) Accepts(v Verdict) bool {
	return m == Off || v == OK || v == MissingTrailer && m != Enforce
}

// Sequence orders the messages of a sender: UTC seconds, 1/65536 s and a
// counter, as 64 bits that wrap.
type Sequence uint64

// sequenceAt is the first sequence of an instant.
func sequenceAt(t time.Time) Sequence {
	seconds := uint64(t.Unix()) //nolint:gosec // modular on purpose
	fraction := uint64(t.Nanosecond()) << 16 / uint64(time.Second)
	return Sequence(seconds<<32 | fraction<<16)
}

// After says whether s comes after o by the serial number arithmetic of
// RFC 1982 with 64 bits. Neither of two that are half the numbers apart does.
func (s Sequence) After(o Sequence) bool { return s != o && s-o < 1<<63 }

// Since is the time from o to s, negative if s is before o, modulo 2^32 s.
// Counters do not count.
func (s Sequence) Since(o Sequence) time.Duration {
	ticks := int64(s&^0xffff-o&^0xffff) >> 16 //nolint:gosec // two's complement is the modular distance
	return time.Duration(ticks>>16)*time.Second + time.Duration(ticks&0xffff)*time.Second>>16
}

// SequenceOf reads the sequence of a whole trailer, which is the sender's clock when
// it signed; it means something after [Keys.Check] found the trailer [OK].
func SequenceOf(trailer []byte) Sequence {
	return Sequence(binary.BigEndian.Uint64(trailer[atSequence:]))
}
