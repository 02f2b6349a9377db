// Package vrrp turns VRRP adverts into bytes and back: version 3 (RFC 9568) for
// IPv4 and IPv6, version 2 (RFC 3768) for IPv4, with and without the trailer of
// package auth. It holds no socket and no state; what it refuses has a name.
package vrrp

import (
	"net/netip"
	"time"
)

// Protocol is the IP protocol number of VRRP.
const Protocol = 112

// HopLimit is the TTL or hop limit that adverts are sent with. Whoever receives
// another knows that a router forwarded them (RFC 9568 §5.1.1.3, §5.1.2.3).
const HopLimit = 255

// Priorities with a meaning of their own. Others are 1 to 254.
const (
	Resigning       = 0   // the active gives up: backups wait for the skew only
	Owner           = 255 // the sender has the addresses as its own
	DefaultPriority = 100
)

// Limits of advert intervals. Version 3 counts centiseconds in 12 bits, version
// 2 whole seconds in 8.
const (
	MinInterval   = 10 * time.Millisecond
	MaxInterval   = 40950 * time.Millisecond
	MinIntervalV2 = time.Second
	MaxIntervalV2 = 255 * time.Second
)

// Group4 and Group6 are where adverts go by multicast.
var (
	Group4 = netip.AddrFrom4([4]byte{224, 0, 0, 18})
	Group6 = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12})
)

// Advert is what the active of a virtual router tells.
type Advert struct {
	// Version is 2 or 3.
	Version uint8
	// VRID is the virtual router's number, 1 to 255, per interface and family.
	VRID uint8
	// Priority is 0 to 255; see [Resigning] and [Owner].
	Priority uint8
	// Interval is the time between the active's adverts: whole centiseconds from
	// [MinInterval] to [MaxInterval], or for version 2 whole seconds from
	// [MinIntervalV2] to [MaxIntervalV2].
	Interval time.Duration
	// Addresses are the router's, 1 to 255, all of the family of the packet.
	Addresses []netip.Addr
}

// Dialect says how the checksum of version 3 over IPv4 is made.
type Dialect uint8

// The dialects. RFC 9568 has no pseudo header for IPv4 and neither has most
// equipment; RFC 5798 was read both ways, and keepalived has one by default.
const (
	WithoutPseudoHeader Dialect = iota
	WithPseudoHeader
)

// String returns the dialect's name.
func (d Dialect) String() string {
	if d == WithPseudoHeader {
		return "with_pseudo_header"
	}
	return "without_pseudo_header"
}

// Path is between whom an advert goes. Both ends are of one family.
type Path struct {
	Source, Destination netip.Addr
}

// Skew is how much longer than three intervals a backup waits: the lower its
// priority the longer, so that the best one comes first (RFC 9568 §6.1). For
// version 2 the interval is one second, whatever is advertised (RFC 3768 §6.1).
func Skew(priority uint8, interval time.Duration) time.Duration {
	return time.Duration(256-int(priority)) * interval / 256
}

// DownInterval is how long a backup of this priority waits for an active that
// advertises the interval, by version 3.
func DownInterval(priority uint8, interval time.Duration) time.Duration {
	return 3*interval + Skew(priority, interval)
}
