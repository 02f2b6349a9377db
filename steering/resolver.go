package steering

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"

	"sluice/internal/config"
	"sluice/loader"
)

// Resolver finds the neighbours that frames to backends are sent to and keeps
// their next-hop entries true. A Table acquires each backend address once and
// releases it when no record names it any more.
type Resolver interface {
	// Acquire returns the id of the next hop towards addr, which stays valid
	// until Release or until [Table.Moved] was told another one. An address
	// that cannot be reached at present gets an id too. current is the id that
	// the dataplane has for addr from an earlier process, 0 for none.
	//
	// It fails where no packet can ever be sent, as to this node itself.
	Acquire(addr netip.Addr, current loader.NextHopID) (loader.NextHopID, error)
	Release(addr netip.Addr)
	// Source returns the address of this node that packets to an acquired addr
	// bear by the routing table, the zero Addr where none leads there. When it
	// changes, [Table.Moved] is told.
	Source(addr netip.Addr) netip.Addr
	// Neighbour returns the MAC of an acquired addr itself, nil where a router is
	// between or it is not known. When it changes, [Table.Moved] is told.
	Neighbour(addr netip.Addr) net.HardwareAddr
	// Settle says that what the dataplane has from an earlier process and was
	// not acquired by now is not needed.
	Settle() error
	// Want is told that packets lacked a next hop for addr on an interface, by
	// index. It does not block.
	Want(addr netip.Addr, ifindex int)
}

// Moved takes over that an address is reached by another next hop than before,
// or with another source:
// every member there is changed when it returns nil. It is for the Resolver to
// call, and to repeat where it fails.
func (t *Table) Moved(addr netip.Addr, id loader.NextHopID) error {
	_, _, err := t.change(func(next *model) error {
		if _, ok := t.hops[addr]; !ok {
			return nil // released meanwhile
		}
		// Also where writing the records fails: the old id is on its way out.
		t.hops[addr] = id
		if _, other := next.others[addr]; other {
			next.others = maps.Clone(next.others)
			next.others[addr] = string(t.opt.Resolver.Neighbour(addr))
		}
		for mid, mem := range next.members {
			if mem.record.Local {
				continue
			}
			if mem.record.Addr.Addr() == addr && next.attached(mem) {
				mem.record.NextHop = id
				mem.record.Source = t.outerSource(next, mem)
				next.members[mid] = mem
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("move backends at %v to another next hop: %v", addr, err)
	}
	return nil
}

// acquireHops gives every member but this node, and every other node, its next
// hop. One that no service names any more keeps what it has where there is none:
// its flows may still get through.
func (t *Table) acquireHops(m *model, others []netip.Addr) error {
	m.others = make(map[netip.Addr]string, len(others))
	for _, addr := range others {
		if _, err := t.hop(addr, 0); err != nil {
			return fmt.Errorf("node at %v: %w", addr, err)
		}
		m.others[addr] = string(t.opt.Resolver.Neighbour(addr))
	}
	for _, id := range slices.Sorted(maps.Keys(m.members)) {
		mem := m.members[id]
		if mem.record.Local {
			mem.record.NextHop, mem.record.Source = 0, netip.Prefix{}
			m.members[id] = mem
			continue
		}
		if !m.attached(mem) {
			continue
		}
		hop, err := t.hop(mem.record.Addr.Addr(), mem.record.NextHop)
		if err != nil && mem.named {
			return fmt.Errorf("service %q: backend %q: %w", m.services[mem.record.Service].name, m.backends[mem.record.Addr].name, err)
		}
		if err == nil {
			mem.record.NextHop = hop
			mem.record.Source = t.outerSource(m, mem)
			m.members[id] = mem
		}
	}
	return nil
}

func (t *Table) hop(addr netip.Addr, current loader.NextHopID) (loader.NextHopID, error) {
	if id, ok := t.hops[addr]; ok {
		return id, nil
	}
	id, err := t.opt.Resolver.Acquire(addr, current)
	if err == nil {
		t.hops[addr] = id
	}
	return id, err
}

// outerSource is what packets to a member bear outside where the mode tunnels:
// what the settings say, or what the routing table does. A service that left
// the settings keeps what it had, as far as that is known.
func (t *Table) outerSource(m *model, mem member) netip.Prefix {
	s, to := m.services[mem.record.Service], mem.record.Addr.Addr()
	if !s.record.Mode.Tunnels() {
		return netip.Prefix{}
	}
	if own := s.settings.Own; s.record.Nodes && own.IsValid() && own.Is4() == to.Is4() {
		return netip.PrefixFrom(own, own.BitLen())
	}
	for _, p := range s.settings.OuterSource {
		if p.Addr().Is4() == to.Is4() {
			return p
		}
	}
	if s.phase != phaseNamed && mem.record.Source.IsValid() {
		return mem.record.Source
	}
	if a := t.opt.Resolver.Source(to); a.IsValid() && a.Is4() == to.Is4() {
		return netip.PrefixFrom(a, a.BitLen())
	}
	return mem.record.Source
}

// keepHops releases the addresses that no record of m names.
func (t *Table) keepHops(m *model) {
	used := make(map[netip.Addr]bool, len(t.hops))
	for _, mem := range m.members {
		if m.attached(mem) && !mem.record.Local {
			used[mem.record.Addr.Addr()] = true
		}
	}
	for addr := range m.others {
		used[addr] = true
	}
	for addr := range t.hops {
		if !used[addr] {
			delete(t.hops, addr)
			t.opt.Resolver.Release(addr)
		}
	}
}

// senders are the addresses of the other nodes that send frames of services in
// mode dsr on to this one, each once.
func senders(s *config.Settings) []netip.Addr {
	var list []netip.Addr
	for _, service := range s.Services {
		if service.Spread() && !service.Via.Tunnels() {
			list = append(list, service.Others...)
		}
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.Compact(list)
}

// parcels are the addresses between which nodes send packets inside others.
type parcels struct{ own, others []netip.Addr }

func parcelsOf(s *config.Settings) parcels {
	var p parcels
	for _, service := range s.Services {
		if service.Spread() && service.Via.Tunnels() {
			p.own = append(p.own, service.Own)
			p.others = append(p.others, service.Others...)
		}
	}
	for _, list := range []*[]netip.Addr{&p.own, &p.others} {
		slices.SortFunc(*list, netip.Addr.Compare)
		*list = slices.Compact(*list)
	}
	return p
}

// nodes is what the dataplane is told of the other nodes.
func (m *model) nodes() loader.Nodes {
	n := loader.Nodes{Own: m.parcels.own, Others: m.parcels.others}
	for _, mac := range slices.Compact(slices.Sorted(maps.Values(m.others))) {
		if mac != "" {
			n.MACs = append(n.MACs, net.HardwareAddr(mac))
		}
	}
	return n
}
