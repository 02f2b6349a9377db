// Package health finds out which backends answer. It dials each one the way a
// client's packets go, so that what it proves is the path and not only the
// machine, and it turns single results into states that do not flap.
package health

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Type is what a check asks of a backend.
type Type string

// The types, as the settings call them.
const (
	SSH Type = "ssh" // the identification string of an SSH server
	TCP Type = "tcp" // a connection
	Off Type = "off" // nothing: the backend counts as up
)

// Settings say how a target is checked. Zero fields take the default in
// brackets.
type Settings struct {
	Type     Type          // [ssh]
	Interval time.Duration // from one check to the next [2s]
	Timeout  time.Duration // for the whole of a check [1s]
	Rise     int           // passed checks in a row that bring a backend up [2]
	Fall     int           // failed checks in a row that take it down [3]
}

func (s Settings) withDefaults() Settings {
	if s.Type == "" {
		s.Type = SSH
	}
	if s.Interval <= 0 {
		s.Interval = 2 * time.Second
	}
	if s.Timeout <= 0 {
		s.Timeout = time.Second
	}
	if s.Rise <= 0 {
		s.Rise = 2
	}
	if s.Fall <= 0 {
		s.Fall = 3
	}
	return s
}

// Target is one thing to check.
type Target struct {
	// Name tells targets apart. Its state stays with the name through every
	// change of the rest.
	Name string
	// Backend is whom the result is about.
	Backend netip.AddrPort
	// Dial is where the check connects to: Backend itself, or a check address
	// of the Link with the service's port, which XDP turns into the VIP at
	// Backend (one-way modes).
	Dial netip.AddrPort
	// Sources are addresses to dial Backend from, the first that this node
	// holds; with none of them the routing table chooses. With the service's
	// source pool here the check goes the way of its flows, and where it comes
	// back shows that theirs do, too.
	Sources []netip.Addr
	// Avoid are addresses that a check through the Link must not come from: the
	// VIPs that Backend holds itself, since it would answer such a one at home.
	// The kernel may choose one on a network that VIPs and backends share.
	Avoid []netip.Addr
	// Local says that Dial is an address that must end on this node: connecting to
	// it elsewhere would prove nothing.
	Local bool
	// Proxy has the check begin with a PROXY v2 header of command LOCAL, and
	// fail unless the server goes on as if nothing had been said.
	Proxy    bool
	Settings Settings
	// Assume is the state of a target that is new to the checker, such as
	// before a restart. Unknown lets the first check decide alone.
	Assume State
}

// linked says that the target is dialled through the check link.
func (t Target) linked() bool { return t.Dial != t.Backend }

func (t Target) equal(o Target) bool {
	return t.Name == o.Name && t.Backend == o.Backend && t.Dial == o.Dial &&
		t.Proxy == o.Proxy && t.Local == o.Local && t.Settings == o.Settings && slices.Equal(t.Sources, o.Sources) && slices.Equal(t.Avoid, o.Avoid)
}

// State is what is known of a target.
type State uint8

// The states. A target is Unknown until its first check has ended; the first
// result decides alone, since there is nothing yet that could flap.
const (
	Unknown State = iota
	Up
	Down
)

// String returns the state's name in lower case.
func (s State) String() string {
	switch s {
	case Unknown:
		return "unknown"
	case Up:
		return "up"
	case Down:
		return "down"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// Outcome is the result of one check.
type Outcome struct {
	// Err says why the check failed, in words for an operator, nil if it passed.
	Err error
	// Source is the address it was dialled from, invalid if it never connected.
	Source netip.Addr
	// RTT is how long connecting took, 0 if it failed.
	RTT time.Duration
	// Took is how long the whole check took until the answer was known.
	Took time.Duration
	// Identification is how the server named itself, "" if it did not. It is
	// printable ASCII.
	Identification string
	// Hung says that the check ended by its deadline.
	Hung bool
}

// Change is a new state of a target.
type Change struct {
	Name     string
	From, To State
	// Reason says what led to it, such as "failed 3 checks in a row: connection
	// refused".
	Reason string
	Since  time.Time
	RTT    time.Duration
	// LastError is the newest failure, also one from before the state changed,
	// "" if there was none.
	LastError string
}

// Status is everything known of a target.
type Status struct {
	Target Target
	State  State
	Reason string // of the last change of State, "" while Unknown
	Since  time.Time
	// Streak counts the latest results in a row that speak against State.
	Streak int
	// Last is the newest result and Checked when its check began, zero before
	// the first.
	Last      Outcome
	Checked   time.Time
	LastError string
	Failed    time.Time // when the check of LastError began
	// Paced says that checks come later than Interval, for the server would
	// take more of them for an attack. See pace.
	Paced bool
}
