package vrrp

import "fmt"

// Refusal says why an advert is not taken. Its name is that of a counter.
type Refusal uint8

// The refusals. [Parse] finds all but the last two, which are for those who know
// the virtual routers of an interface.
const (
	// Accepted: nothing is wrong with it.
	Accepted Refusal = iota
	HopLimitTooLow
	Truncated
	TrailingBytes
	UnknownVersion
	UnknownType
	BadChecksum
	VRIDZero
	IntervalZero
	CountZero
	// AuthPassword is version 2 with a clear-text password, keepalived's PASS.
	AuthPassword
	AuthType
	// AddressFamily is version 2 in IPv6, or a packet between two families.
	AddressFamily
	BadAddress
	FirstNotLinkLocal
	UnknownVRID
	OtherVersion
	// Refusals is how many there are: the length of an array of counters.
	Refusals
)

var refusalNames = [Refusals]string{
	Accepted: "accepted", HopLimitTooLow: "hop_limit", Truncated: "truncated", TrailingBytes: "trailing_bytes",
	UnknownVersion: "unknown_version", UnknownType: "unknown_type", BadChecksum: "bad_checksum",
	VRIDZero: "vrid_zero", IntervalZero: "interval_zero", CountZero: "count_zero",
	AuthPassword: "auth_password", AuthType: "auth_type", AddressFamily: "address_family", BadAddress: "bad_address",
	FirstNotLinkLocal: "first_not_link_local", UnknownVRID: "unknown_vrid", OtherVersion: "other_version",
}

// String returns the refusal's name in counters and logs.
func (r Refusal) String() string {
	if r < Refusals {
		return refusalNames[r]
	}
	return fmt.Sprintf("refusal_%d", uint8(r))
}

var refusalAdvice = [Refusals]string{
	HopLimitTooLow:    "the advert was forwarded by a router or is forged: gateways must be on one segment, or unicast with a lower limit set",
	Truncated:         "the advert is shorter than its address count says: look for a broken or hostile sender",
	TrailingBytes:     "more bytes follow the advert than a trailer has: look for another protocol with IP protocol 112",
	UnknownVersion:    "neither VRRP version 2 nor 3: look for another protocol with IP protocol 112, as CARP",
	UnknownType:       "not an advertisement: look for another protocol with IP protocol 112",
	BadChecksum:       "the advert was damaged, or its sender rewrites addresses: look for NAT between the gateways",
	VRIDZero:          "VRID 0 is nobody's: correct the sender's settings",
	IntervalZero:      "an interval of 0 cannot be waited for: correct the sender's settings",
	CountZero:         "the advert names no address: give the sender's virtual router at least one",
	AuthPassword:      "clear-text passwords protect nothing and are not supported: remove auth_type PASS on the sender, use auth_hmac",
	AuthType:          "this authentication type of version 2 is not supported: remove it on the sender, use auth_hmac",
	AddressFamily:     "version 2 is for IPv4 only: set version 3 on the sender",
	BadAddress:        "the advert names an address that no virtual router can have: correct the sender's settings",
	FirstNotLinkLocal: "an IPv6 advert begins with the virtual router's link-local address: add one as the first on the sender, or allow lists without",
	UnknownVRID:       "no virtual router here has this VRID: a stranger's, or the settings of the gateways differ",
	OtherVersion:      "this virtual router speaks another VRRP version: set the same on all gateways",
}

// Advice says what to do about a refusal; nothing for [Accepted].
func (r Refusal) Advice() string {
	if r < Refusals {
		return refusalAdvice[r]
	}
	return ""
}
