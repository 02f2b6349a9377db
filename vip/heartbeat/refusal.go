package heartbeat

import (
	"fmt"

	"sluice/vip/auth"
)

// Refusal says why a datagram is not taken. Its name is that of a counter.
type Refusal uint8

// The refusals.
const (
	// Accepted: made by a holder of the key. Whether it is fresh, a [Link] says.
	Accepted Refusal = iota
	Truncated
	TooLong
	UnknownProtocol
	OtherCluster
	Unsigned
	UnknownKey
	BadMAC
	// UnsupportedVersion: authentic, but in a version that is not understood. The
	// sender's versions are told, so that it can be answered in another.
	UnsupportedVersion
	// Malformed: authentic, but not to be understood.
	Malformed
	// Refusals is how many there are: the length of an array of counters.
	Refusals
)

var refusals = [Refusals]struct{ name, advice string }{
	Accepted:           {"accepted", ""},
	Truncated:          {"truncated", "the datagram is shorter than it says: look for a link with a small MTU, or a hostile sender"},
	TooLong:            {"too_long", "the datagram is longer than any heartbeat: look for another service on this port"},
	UnknownProtocol:    {"unknown_protocol", "not a heartbeat: look for another service on this port"},
	OtherCluster:       {"other_cluster", "a heartbeat of another virtual cluster: give each its own port, or the same name on all gateways"},
	Unsigned:           {"unsigned", "heartbeats are always signed: look for a hostile sender"},
	UnknownKey:         {"unknown_key", "signed by a key id that is not known here: give both gateways the same keys"},
	BadMAC:             {"bad_mac", "forged, or the gateways have different cluster keys or see each other under different addresses: compare the keys, look for NAT"},
	UnsupportedVersion: {"unsupported_version", "the programs have no message version in common: upgrade the older one"},
	Malformed:          {"malformed", "authentic, but not understood: upgrade the older program"},
}

// String returns the refusal's name in counters and logs.
func (r Refusal) String() string {
	if r < Refusals {
		return refusals[r].name
	}
	return fmt.Sprintf("refusal_%d", uint8(r))
}

// Advice says what to do about a refusal; nothing for [Accepted].
func (r Refusal) Advice() string {
	if r < Refusals {
		return refusals[r].advice
	}
	return ""
}

// refusalOf turns what auth says into a refusal.
func refusalOf(v auth.Verdict) Refusal {
	switch v {
	case auth.OK:
		return Accepted
	case auth.MissingTrailer, auth.Malformed:
		return Unsigned
	case auth.UnknownKey:
		return UnknownKey
	default:
		return BadMAC
	}
}
