package steering

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"sluice/internal/config"
	"sluice/loader"
)

// planner makes a model agree with settings. It touches nothing but the model.
type planner struct {
	t *Table
	m *model
	// members finds the id of a backend within a service.
	members map[place]loader.MemberID
	// serving are the members that stood in a ring before.
	serving map[loader.MemberID]bool
	index   *index
}

// place is where a member is.
type place struct {
	service loader.ServiceID
	addr    netip.AddrPort
}

func (t *Table) plan(m *model, s *config.Settings) error {
	p := &planner{
		t: t, m: m, index: t.index.Load(),
		members: make(map[place]loader.MemberID, len(m.members)),
		serving: map[loader.MemberID]bool{},
	}
	m.ledger = m.ledger.edit()
	m.embryo = cmp.Or(s.Dataplane.Lifetimes.Embryo, defaultEmbryo)
	m.established = cmp.Or(s.Dataplane.Lifetimes.Established, defaultEstablished)
	p.unname()
	for _, cfg := range s.Services {
		if err := p.service(cfg); err != nil {
			return fmt.Errorf("service %q: %w", cfg.Name, err)
		}
	}
	p.trimOrders()
	p.startChecks()
	m.applied = true
	m.parcels = parcelsOf(s)
	return t.acquireHops(m, senders(s))
}

// unname forgets which objects the settings named.
func (p *planner) unname() {
	m := p.m
	m.order = nil
	for id, s := range m.services {
		for _, standing := range s.layout {
			p.serving[loader.MemberID(standing.ID)] = true
		}
		if s.phase == phaseNamed {
			s.phase = phaseRemoved
		}
		s.record.Removed = true
		s.members, s.settings = nil, config.Service{}
		m.services[id] = s
	}
	for id, mem := range m.members {
		p.members[place{mem.record.Service, mem.record.Addr}] = id
		mem.named = false
		m.members[id] = mem
	}
	for addr, b := range m.backends {
		b.named = false
		m.backends[addr] = b
	}
}

func (p *planner) service(cfg config.Service) error {
	id, err := p.serviceID(cfg)
	if err != nil {
		return err
	}
	s := p.m.services[id]
	s.id, s.phase, s.name, s.record, s.settings = id, phaseNamed, cfg.Name, recordOf(cfg), cfg
	p.m.services[id] = s // members look their service up
	if s.steers() {
		for _, b := range cfg.Backends {
			mid, err := p.member(s, b)
			if err != nil {
				return fmt.Errorf("backend %q: %w", b.Name, err)
			}
			s.members = append(s.members, mid)
			if b.Local {
				s.record.Local = mid
			}
		}
	}
	p.m.services[id] = s
	p.m.order = append(p.m.order, id)
	return nil
}

// serviceID returns the id for a service of the settings. Those that had its
// address with another mode are replaced by it.
func (p *planner) serviceID(cfg config.Service) (loader.ServiceID, error) {
	var found loader.ServiceID
	for _, id := range slices.Sorted(maps.Keys(p.m.services)) {
		s := p.m.services[id]
		if s.record.Listen != cfg.Listen {
			continue
		}
		if s.record.Mode == modes[cfg.Carrier()] && s.record.Nodes == cfg.Spread() && (found == 0 || s.phase != phaseReplaced) {
			found = id
		}
	}
	for id, s := range p.m.services {
		if s.record.Listen == cfg.Listen && id != found {
			s.phase = phaseReplaced
			p.m.services[id] = s
		}
	}
	if found != 0 {
		return found, nil
	}
	return p.m.ledger.Services.take(cfg.Listen, maxServiceID, func(id loader.ServiceID) bool {
		return p.index.services[id] == 0
	})
}

// member names a backend within s, with a record if it has none yet.
func (p *planner) member(s service, cfg config.Backend) (loader.MemberID, error) {
	id, ok := p.members[place{s.id, cfg.Addr}]
	if !ok {
		key := memberKey{Service: s.record.Listen, Backend: cfg.Addr}
		var err error
		id, err = p.m.ledger.Members.take(key, maxMemberID, func(id loader.MemberID) bool {
			return p.index.of(id).all() == 0
		})
		if err != nil {
			return 0, err
		}
		p.members[place{s.id, cfg.Addr}] = id
	}
	mem := p.m.members[id]
	mem.record.Service, mem.record.Addr = s.id, cfg.Addr
	mem.named, mem.weight, mem.record.Local = true, cfg.Weight, cfg.Local
	mem.check = netip.Addr{}
	if s.oneWay() && !cfg.Local && s.settings.HealthCheck.Type != config.HealthCheckOff {
		mem.check = p.t.checkAddr(id, s.record.Listen.Addr())
	}
	p.m.members[id] = mem
	p.backend(cfg, s.record.Nodes)
	return id, nil
}

// backend makes sure that there is an object for the address. The first name
// that the settings give it counts.
func (p *planner) backend(cfg config.Backend, node bool) {
	b, ok := p.m.backends[cfg.Addr]
	if !ok {
		b = backend{addr: cfg.Addr, order: p.m.orders[cfg.Addr]}
	}
	if !b.named {
		b.name, b.named, b.node = cfg.Name, true, node
	}
	p.m.backends[cfg.Addr] = b
}

// trimOrders drops the operator's weights where the settings have a new one,
// and orders for backends that nobody knows any more.
func (p *planner) trimOrders() {
	p.m.orders = nil
	for addr, b := range p.m.backends {
		kept := map[netip.AddrPort]weightOrder{}
		for listen, w := range b.order.Weights {
			if weight, ok := p.settingsWeight(listen, addr); !ok || weight == w.Settings {
				kept[listen] = w
			}
		}
		if len(kept) != len(b.order.Weights) {
			b.order.Weights = kept
			p.m.backends[addr] = b
		}
	}
}

// settingsWeight returns the weight the settings give a backend in a service.
func (p *planner) settingsWeight(listen, addr netip.AddrPort) (int, bool) {
	for _, id := range p.m.order {
		if p.m.services[id].record.Listen == listen {
			mem, ok := p.m.members[p.members[place{id, addr}]]
			return mem.weight, ok && mem.named
		}
	}
	return 0, false
}

// startChecks makes the verdicts agree with the checks that are to run. A
// backend that already has flows sent to it goes on until a check fails.
func (p *planner) startChecks() {
	up := map[CheckID]bool{}
	for id, mem := range p.m.members {
		if p.serving[id] && mem.named {
			up[p.m.checkID(mem)] = true
		}
	}
	p.m.alignVerdicts(p.t.opt.now(), up)
}

// checkAddr returns the address that stands for a member in health checks, of
// the family of the VIP it is turned into.
func (t *Table) checkAddr(id loader.MemberID, vip netip.Addr) netip.Addr {
	net := t.opt.CheckNet6
	if vip.Is4() {
		net = t.opt.CheckNet4
	}
	raw := net.Masked().Addr().AsSlice()
	raw[len(raw)-2] |= byte(id >> 8)
	raw[len(raw)-1] |= byte(id)
	addr, _ := netip.AddrFromSlice(raw)
	return addr
}
