package steering

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sluice/internal/config"
	"sluice/loader"
)

// Status is how everything stands.
type Status struct {
	// Services are in the order of the settings; those that left them while
	// flows of theirs live come last.
	Services []ServiceStatus
	// Backends are by name, each address and port once.
	Backends []BackendStatus
	// Alarms are what needs an operator, the worst first.
	Alarms []Alarm
	// Swept is when the flow table was swept last, Flows what it held then.
	Swept time.Time
	Flows int
}

// ServiceStatus is how one service stands.
type ServiceStatus struct {
	// ID is what the dataplane calls it, as for its listener in mode sshd.
	ID     loader.ServiceID
	Name   string
	Listen netip.AddrPort
	Mode   loader.Mode
	// Nodes says that it is in mode sshd with nodes, which Mode gets packets to.
	Nodes bool
	// Settings are those in force, zero where Removed.
	Settings config.Service
	// Removed marks a service that left the settings while flows of it live.
	Removed bool
	Members []MemberStatus
	// Counters are of the service as a whole; Flows are the sums over its
	// backends, those that left it included.
	Counters ServiceCounters
	Flows    Counters
	FlowsNow uint64
	// UpperBound says that flows a backend closed may still be in FlowsNow.
	UpperBound bool
	// Marks are the ring entries whose flows are looked up, as the last sweep
	// left them; nil where every packet is.
	Marks *loader.MarkCount
}

// MemberStatus is how one backend stands within one service.
type MemberStatus struct {
	Name  string
	Addr  netip.AddrPort
	State State
	// Weight is the one in force, Share the part of the ring it amounts to at
	// present, 0 to 1.
	Weight   int
	Share    float64
	Health   Health
	Reason   string // why Health is not passing
	FlowsNow uint64
}

// BackendStatus is how one backend stands, over all services that name it.
type BackendStatus struct {
	Name  string
	Addr  netip.AddrPort
	State State
	// Since is when it entered the state, Reason why it is not up.
	Since  time.Time
	Reason string
	Health Health
	// Weight is the one in the first service that names it.
	Weight   int
	Services []string
	Counters Counters
	FlowsNow uint64
	// UpperBound says that flows the backend closed may still be in FlowsNow.
	UpperBound bool
	// Drain is set while it drains.
	Drain *Drain
}

// Status reads the counters and returns how everything stands. It does not
// wait for changes under way. The error says why the counters were not read.
func (t *Table) Status() (Status, error) {
	m, now, err := t.counted()
	if err != nil {
		return Status{}, err
	}
	x := t.index.Load()
	s := Status{Alarms: t.standing(m), Swept: x.at, Flows: x.len()}
	shown := m.ledger.Members.shown(now.members)
	s.Services = m.serviceStatus(now, shown)
	t.showMarks(m, s.Services)
	s.Backends = m.backendStatus(now, shown, t.drains(m, now))
	return s, nil
}

func (m *model) serviceStatus(now readings, shown map[memberKey]Counters) []ServiceStatus {
	counters := m.ledger.Services.shown(now.services)
	sums := map[netip.AddrPort]Counters{}
	for key, c := range shown {
		sums[key.Service] = sums[key.Service].plus(c)
	}
	members := m.grouped()
	var list []ServiceStatus
	for _, s := range m.listed() {
		st := ServiceStatus{
			ID: s.id, Name: s.name, Listen: s.record.Listen, Mode: s.record.Mode, Nodes: s.record.Nodes, Settings: s.settings,
			Removed: s.phase != phaseNamed, UpperBound: s.oneWay(),
		}
		// The address has one counter line: it belongs to the service that has
		// the address, not to the mode it replaced.
		if s.phase != phaseReplaced {
			st.Counters, st.Flows = counters[s.record.Listen], sums[s.record.Listen]
		}
		st.Members = m.memberStatus(s, members[s.id], now)
		for _, mem := range st.Members {
			st.FlowsNow += mem.FlowsNow
		}
		list = append(list, st)
	}
	return list
}

// memberStatus lists the members in the order of the settings, then those that
// left them.
func (m *model) memberStatus(s service, all []loader.MemberID, now readings) []MemberStatus {
	weights, total := map[uint32]float64{}, 0.0
	for _, standing := range s.layout {
		weights[standing.ID] = float64(standing.Weight)
		total += float64(standing.Weight)
	}
	ids := slices.Clone(s.members)
	for _, id := range all {
		if !m.members[id].named {
			ids = append(ids, id)
		}
	}
	list := make([]MemberStatus, 0, len(ids))
	for _, id := range ids {
		mem := m.members[id]
		b := m.backends[mem.record.Addr]
		st := MemberStatus{
			Name: b.name, Addr: b.addr, State: StateRemoved, Weight: m.weight(mem), Health: HealthOff,
			FlowsNow: now.flowsNow(id),
		}
		if mem.named {
			st.Health, st.Reason = m.healthOf(mem)
			st.State, _ = b.shown(st.Health, st.Reason)
		}
		if total > 0 {
			st.Share = weights[uint32(id)] / total
		}
		list = append(list, st)
	}
	return list
}

func (m *model) backendStatus(now readings, shown map[memberKey]Counters, drains map[netip.AddrPort]Drain) []BackendStatus {
	sums := map[netip.AddrPort]Counters{}
	for key, c := range shown {
		sums[key.Backend] = sums[key.Backend].plus(c)
	}
	flows, mentions, oneWay := m.flowsByBackend(now), m.mentions(), m.oneWayBackends()
	list := make([]BackendStatus, 0, len(m.backends))
	for addr, b := range m.backends {
		st := BackendStatus{
			Name: b.name, Addr: addr, State: b.state, Since: b.since, Reason: b.reason, Health: b.health,
			Weight: mentions[addr].weight, Services: mentions[addr].services,
			Counters: sums[addr], FlowsNow: flows[addr], UpperBound: oneWay[addr],
		}
		if d, drains := drains[addr]; drains {
			st.Drain = &d
		}
		list = append(list, st)
	}
	slices.SortFunc(list, func(a, b BackendStatus) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), a.Addr.Compare(b.Addr))
	})
	return list
}

func (m *model) oneWayBackends() map[netip.AddrPort]bool {
	found := map[netip.AddrPort]bool{}
	for _, mem := range m.members {
		if m.services[mem.record.Service].oneWay() {
			found[mem.record.Addr] = true
		}
	}
	return found
}

// standing returns the alarms, with those that follow from the model.
func (t *Table) standing(m *model) []Alarm {
	list := t.alarms.list()
	for _, id := range m.order {
		s := m.services[id]
		if !s.steers() || len(m.layout(s)) > 0 {
			continue
		}
		list = append(list, Alarm{
			Severity: SeverityCritical, Subject: "service " + s.name,
			Text:  "no backend is up: new connections are refused and counted as no_backend",
			Hint:  "see show backends for why each of them is out",
			Since: m.lastUp(s),
		})
	}
	list = append(list, m.deaf()...)
	slices.SortStableFunc(list, func(a, b Alarm) int { return cmp.Compare(a.Severity, b.Severity) })
	return list
}

// deaf returns an alarm for each backend that takes a PROXY header for noise:
// no wait brings it up, its server or the settings must change.
func (m *model) deaf() []Alarm {
	var list []Alarm
	for id, v := range m.verdicts {
		if !id.Proxy || !v.known || v.up || !strings.Contains(v.reason, "PROXY v2") {
			continue
		}
		list = append(list, Alarm{
			Severity: SeverityWarning, Subject: "backend " + m.backends[id.Backend].name, Text: v.reason,
			Hint:  "put a receiver in front of its server, such as HAProxy with accept-proxy, or set client_address: hide",
			Since: v.since,
		})
	}
	slices.SortFunc(list, func(a, b Alarm) int { return cmp.Compare(a.Subject, b.Subject) })
	return list
}

// lastUp returns when the last backend of a service went.
func (m *model) lastUp(s service) time.Time {
	var last time.Time
	for _, id := range s.members {
		if b := m.backends[m.members[id].record.Addr]; b.since.After(last) {
			last = b.since
		}
	}
	return last
}
