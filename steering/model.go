package steering

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"sluice/loader"
	"sluice/steering/ring"
)

// model is what a Table knows at one moment. A published model is never
// changed: readers need no lock, and a change that fails is simply not
// published. Slices and maps inside its values are replaced, not edited.
type model struct {
	services map[loader.ServiceID]service
	members  map[loader.MemberID]member
	backends map[netip.AddrPort]backend
	// verdicts has an element for every check that runs.
	verdicts map[CheckID]verdict
	// order are the services of the settings, in their order.
	order []loader.ServiceID
	// orders are those for backends that do not exist yet: after a restart,
	// until the first settings.
	orders map[netip.AddrPort]order
	// others are the MACs of the other nodes that may send frames on to this one,
	// by address, "" where none is known; nil before the first settings.
	others  map[netip.Addr]string
	parcels parcels
	ledger  ledger
	// embryo is how long a handshake may take, established how long a flow may
	// be silent.
	embryo, established time.Duration
	// applied says that settings were applied since the start.
	applied bool
}

func newModel() *model {
	return &model{
		services: map[loader.ServiceID]service{},
		members:  map[loader.MemberID]member{},
		backends: map[netip.AddrPort]backend{},
		verdicts: map[CheckID]verdict{},
		ledger:   newLedger(),
		embryo:   defaultEmbryo, established: defaultEstablished,
	}
}

// The dataplane's defaults.
const (
	defaultEmbryo      = time.Minute
	defaultEstablished = 120 * time.Hour
)

func (m *model) clone() *model {
	next := *m
	next.services = maps.Clone(m.services)
	next.members = maps.Clone(m.members)
	next.backends = maps.Clone(m.backends)
	next.verdicts = maps.Clone(m.verdicts)
	return &next
}

// member is one backend within one service.
type member struct {
	record loader.Member
	// named says that the settings name it; what is not named lives on until
	// its flows have ended.
	named bool
	// weight is the one of the settings.
	weight int
	// check is the address its health check dials in one-way modes.
	check netip.Addr
}

// grouped returns the members of each service, lowest id first.
func (m *model) grouped() map[loader.ServiceID][]loader.MemberID {
	groups := make(map[loader.ServiceID][]loader.MemberID, len(m.services))
	for _, id := range slices.Sorted(maps.Keys(m.members)) {
		s := m.members[id].record.Service
		groups[s] = append(groups[s], id)
	}
	return groups
}

// attached reports whether the service of a member has a record. One without
// is left by a change that could be taken back only in part; no packet can
// reach it.
func (m *model) attached(mem member) bool {
	_, ok := m.services[mem.record.Service]
	return ok
}

// weight returns the member's share: the operator's, until the settings change
// theirs.
func (m *model) weight(mem member) int {
	listen := m.services[mem.record.Service].record.Listen
	if w, ok := m.backends[mem.record.Addr].order.Weights[listen]; ok {
		return w.Operator
	}
	return mem.weight
}

// serves reports whether a member that is up gets new flows.
func (m *model) serves(mem member) bool {
	b := m.backends[mem.record.Addr]
	return mem.named && b.order.State == "" && m.usable(mem) && m.weight(mem) > 0
}

// layout returns who stands in the ring of a service, and with which weight.
// Nobody does where the settings no longer name the service.
func (m *model) layout(s service) []ring.Member {
	if s.phase != phaseNamed {
		return nil
	}
	up := m.candidates(s, m.serves)
	if len(up) > 0 || !s.lastResort() {
		return up
	}
	return m.candidates(s, func(mem member) bool {
		b := m.backends[mem.record.Addr]
		return mem.named && b.order.State == StateDraining && m.usable(mem) && m.weight(mem) > 0
	})
}

func (m *model) candidates(s service, fit func(member) bool) []ring.Member {
	var list []ring.Member
	for _, id := range s.members {
		mem := m.members[id]
		if fit(mem) {
			list = append(list, ring.Member{ID: uint32(id), Addr: mem.record.Addr, Weight: uint32(m.weight(mem))})
		}
	}
	return list
}

// listed returns the services for people: those of the settings in their
// order, then those whose flows live on, by id.
func (m *model) listed() []service {
	list := make([]service, 0, len(m.services))
	for _, id := range m.order {
		list = append(list, m.services[id])
	}
	for _, s := range sorted(m.services) {
		if s.phase != phaseNamed {
			list = append(list, s)
		}
	}
	return list
}

// sorted returns the values of a map by key, so that what is done for all of
// them is done in the same order each time.
func sorted[K cmp.Ordered, V any](m map[K]V) []V {
	values := make([]V, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		values = append(values, m[k])
	}
	return values
}
