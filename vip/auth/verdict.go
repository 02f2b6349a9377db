package auth

import "fmt"

// Verdict is what verifying a message has shown.
type Verdict uint8

// The verdicts. Only a message that is [OK] is its sender's word; whether a
// message without a trailer is taken is the mode's affair ([Mode.Accepts]).
const (
	// OK: made by a holder of a key, not changed, not seen before, and fresh.
	OK Verdict = iota
	// MissingTrailer: not signed.
	MissingTrailer
	// Malformed: what follows the message is no trailer.
	Malformed
	// UnknownKey: signed by a key id that is not in the set.
	UnknownKey
	// BadMAC: forged, changed on the way, or a key that differs under one id.
	BadMAC
	// Replayed: authentic, but its sequence does not follow the sender's last.
	Replayed
	// NotFresh: authentic and new, but outside of the window. Somebody with our
	// key lives, or lived and is replayed: a reason to raise an alarm and not to
	// take over, never to believe what the message says.
	NotFresh
	// TooManySenders: authentic, but no room is left to remember its sequence.
	TooManySenders
	// Verdicts is how many there are: the length of an array of counters.
	Verdicts
)

var verdictNames = [Verdicts]string{
	OK: "ok", MissingTrailer: "missing_trailer", Malformed: "malformed", UnknownKey: "unknown_key",
	BadMAC: "bad_mac", Replayed: "replayed", NotFresh: "not_fresh", TooManySenders: "too_many_senders",
}

// String returns the verdict's name in counters and logs.
func (v Verdict) String() string {
	if v < Verdicts {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict_%d", uint8(v))
}

var verdictAdvice = [Verdicts]string{
	MissingTrailer: "the sender does not sign: set its authentication mode to permissive or enforce",
	Malformed:      "the bytes behind the message are no trailer: look for a sender with another protocol on this VRID",
	UnknownKey:     "the sender signs with a key id that is not known here: add the key on this gateway before a sender uses it",
	BadMAC:         "the message is forged or the keys differ: compare the keys of both gateways",
	Replayed:       "the message was seen before or is older than the last: somebody replays, or the sender restarted with its clock set back",
	NotFresh:       "the clocks of the gateways differ by more than the window: set both by NTP",
	TooManySenders: "more senders than the table holds sign with this key: give each virtual router a key of its own",
}

// Advice says what to do about a verdict; nothing for [OK].
func (v Verdict) Advice() string {
	if v < Verdicts {
		return verdictAdvice[v]
	}
	return ""
}
