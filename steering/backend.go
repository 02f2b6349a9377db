package steering

import (
	"net/netip"
	"time"

	"sluice/internal/config"
)

// State is what a backend takes.
//
//	        drain            nothing left, or deadline
//	up ──────────► draining ──────────► disabled
//	▲ ◄──────────────┴──── enable ◄───────┘
//	└──► down by health checks alone
//
// One backend has one state for all services that name it.
type State string

// The states. Removed is a backend that left the settings while flows of it
// live.
const (
	StateUp       State = "up"
	StateDown     State = "down"
	StateDraining State = "draining"
	StateDisabled State = "disabled"
	StateRemoved  State = "removed"
)

// Health is what the checks of a backend say.
type Health string

// The outcomes of health checks. Unknown is a check without its first result.
const (
	HealthPassing Health = "passing"
	HealthFailing Health = "failing"
	HealthUnknown Health = "unknown"
	HealthOff     Health = "off"
)

// backend is one host and port, however many services name it.
type backend struct {
	addr  netip.AddrPort
	name  string
	named bool
	// node marks one of the nodes of a service, which may have several addresses.
	node  bool
	order order
	// state is the one shown, with when it was entered and why.
	state  State
	since  time.Time
	reason string
	health Health
}

// order is what the operator wants of a backend; it holds over restarts.
type order struct {
	// State is draining, disabled, or empty for up.
	State State     `json:"state,omitempty"`
	Since time.Time `json:"since,omitzero"`
	// Deadline ends a drain by force, unless it is zero.
	Deadline time.Time `json:"deadline,omitzero"`
	// IdleDone is for how long a flow must be silent to count as ended.
	IdleDone time.Duration `json:"idle_done_ns,omitempty"`
	// Weights are the operator's, by the listen address of the service.
	Weights map[netip.AddrPort]weightOrder `json:"weights,omitempty"`
}

// weightOrder replaces the weight of the settings for as long as that one is
// what it was when the operator spoke.
type weightOrder struct {
	Operator int `json:"operator"`
	Settings int `json:"settings"`
}

func (o order) empty() bool { return o.State == "" && len(o.Weights) == 0 }

// checkID returns which health check a member depends on.
func (m *model) checkID(mem member) CheckID {
	s := m.services[mem.record.Service]
	id := CheckID{Backend: mem.record.Addr, Proxy: s.record.Proxy}
	if s.oneWay() {
		id.Service = s.record.Listen
	}
	return id
}

// healthOf returns what the checks say about a member, and why it is bad.
func (m *model) healthOf(mem member) (Health, string) {
	if m.services[mem.record.Service].settings.HealthCheck.Type == config.HealthCheckOff {
		return HealthOff, ""
	}
	v := m.verdicts[m.checkID(mem)]
	switch {
	case !v.known:
		return HealthUnknown, "not checked yet"
	case v.up:
		return HealthPassing, ""
	default:
		return HealthFailing, v.reason
	}
}

// usable reports whether the checks let a member have new flows.
func (m *model) usable(mem member) bool {
	h, _ := m.healthOf(mem)
	return h == HealthPassing || h == HealthOff
}

// settle brings the shown states up to date.
func (m *model) settle(now time.Time) {
	type sum struct {
		health Health
		reason string
	}
	sums := make(map[netip.AddrPort]sum, len(m.backends))
	for _, id := range m.order {
		for _, mid := range m.services[id].members {
			mem := m.members[mid]
			h, why := m.healthOf(mem)
			// A backend that one service can use is up; its best path counts.
			if old, ok := sums[mem.record.Addr]; !ok || healthRank[h] > healthRank[old.health] {
				sums[mem.record.Addr] = sum{h, why}
			}
		}
	}
	for addr, b := range m.backends {
		s := sums[addr]
		state, reason := b.shown(s.health, s.reason)
		if state != b.state {
			b.since = now
		}
		if state == b.order.State {
			b.since = b.order.Since // known over restarts
		}
		b.state, b.reason, b.health = state, reason, s.health
		if state == StateDisabled || state == StateRemoved {
			b.health = HealthOff
		}
		m.backends[addr] = b
	}
}

// healthRank orders what the checks of one backend say, the best last.
var healthRank = map[Health]int{HealthUnknown: 1, HealthFailing: 2, HealthOff: 3, HealthPassing: 4}

func (b backend) shown(h Health, why string) (State, string) {
	switch {
	case !b.named:
		return StateRemoved, "left the settings, its flows live on"
	case b.order.State != "":
		return b.order.State, "by the operator"
	case h == HealthPassing || h == HealthOff:
		return StateUp, ""
	default:
		return StateDown, why
	}
}
