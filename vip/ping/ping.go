// Package ping asks hosts on an interface whether they are there, so that a
// gateway can tell a dead network from a dead peer. An item of several hosts
// fails only when all of them do.
//
// Echoes leave by the interface under test and no other, and only an answer that
// comes by it counts. What to do about a failed item is not decided here.
package ping

import (
	"fmt"
	"net/netip"
	"time"
)

// Bounds of what [New] takes.
const (
	// MinInterval and MaxInterval bound Item.Interval.
	MinInterval = 50 * time.Millisecond
	MaxInterval = time.Hour
	// MinTimeout bounds Item.Timeout, which is at most the interval.
	MinTimeout = 10 * time.Millisecond
	// MaxInRow bounds Fall and Rise.
	MaxInRow = 100
	// MaxHosts bounds the hosts of all items together.
	MaxHosts = 256
)

// Item is a group of hosts of which one is enough.
type Item struct {
	// Name is for messages and status; no two items have the same.
	Name string
	// Interface is the interface under test.
	Interface string
	// Hosts are its hosts, IPv4 and IPv6 mixed as wanted. A zone may only be
	// the interface's name.
	Hosts []netip.Addr
	// Interval is the time from one echo to the next, Timeout how long its
	// answer may take: at most the interval, so that one echo is under way.
	Interval, Timeout time.Duration
	// Fall misses in a row mark a host down, Rise answers in a row up again.
	Fall, Rise int
}

// Status is what is known of an item.
type Status struct {
	Item, Interface string
	// OK is false when all hosts are down.
	OK bool
	// Known is false as long as nothing has been heard or missed that decides
	// OK, which is true meanwhile.
	Known bool
	// Fails counts how often it has failed: a target that flaps decides nothing.
	Fails uint64
	// Since is when OK changed last, zero if never.
	Since time.Time
	Hosts []HostStatus
}

// HostStatus is what is known of a host in an item.
type HostStatus struct {
	Addr netip.Addr
	// Up is true until the host has missed Fall echoes in a row.
	Up bool
	// Known is false before the first answer or the first time down.
	Known bool
	// RTT is the last round trip, 0 before the first.
	RTT time.Duration
	// Sent and Answered count echoes; one that could not be sent counts as
	// sent.
	Sent, Answered uint64
	// Lost is how many of the last Recent echoes had no answer; Recent is at
	// most 64.
	Lost, Recent int
	// Downs counts how often it went down.
	Downs uint64
	// Since is when Up changed last, zero if never.
	Since time.Time
	// Fault says why the last echo could not be sent, "" if it could.
	Fault string
}

// check returns the item with its zones taken away, or says what is wrong.
func (i Item) check() (Item, error) {
	switch {
	case i.Name == "":
		return i, fmt.Errorf("ping item of interface %q has no name", i.Interface)
	case i.Interface == "":
		return i, fmt.Errorf("ping item %q: no interface is given", i.Name)
	case len(i.Hosts) == 0:
		return i, fmt.Errorf("ping item %q: no host is given", i.Name)
	case i.Interval < MinInterval || i.Interval > MaxInterval:
		return i, fmt.Errorf("ping item %q: interval %s: want %s to %s", i.Name, i.Interval, MinInterval, MaxInterval)
	case i.Timeout < MinTimeout || i.Timeout > i.Interval:
		return i, fmt.Errorf("ping item %q: timeout %s: want %s to its interval, %s", i.Name, i.Timeout, MinTimeout, i.Interval)
	case i.Fall < 1 || i.Fall > MaxInRow:
		return i, fmt.Errorf("ping item %q: fall %d: want 1 to %d", i.Name, i.Fall, MaxInRow)
	case i.Rise < 1 || i.Rise > MaxInRow:
		return i, fmt.Errorf("ping item %q: rise %d: want 1 to %d", i.Name, i.Rise, MaxInRow)
	}
	var hosts []netip.Addr
	seen := make(map[netip.Addr]bool)
	for _, h := range i.Hosts {
		addr := h.WithZone("").Unmap()
		switch {
		case !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
			return i, fmt.Errorf("ping item %q: host %s is not one machine's address", i.Name, h)
		case h.Zone() != "" && h.Zone() != i.Interface:
			return i, fmt.Errorf("ping item %q: host %s is of interface %q, not of %q", i.Name, h, h.Zone(), i.Interface)
		case seen[addr]:
			return i, fmt.Errorf("ping item %q: host %s is there twice", i.Name, h)
		}
		seen[addr] = true
		hosts = append(hosts, addr)
	}
	i.Hosts = hosts
	return i, nil
}
