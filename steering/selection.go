package steering

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// ErrUnknown is matched by errors about a backend or service that nobody
// names.
var ErrUnknown = errors.New("not known")

// ErrLastBackend is matched by the error of an order that would leave a service
// with no backend that is up. The operator may insist.
var ErrLastBackend = errors.New("no backend would be up")

// ErrNotReady is matched by errors of orders before the first settings.
var ErrNotReady = errors.New("no settings were applied yet")

// Selection says which backends an order is for: those named, or all.
type Selection struct {
	// Backends are names or addr:port.
	Backends []string
	// All means every backend that the settings name.
	All bool
	// Service narrows the selection to backends that the service steers to. A
	// backend has one state: it changes for all its services.
	Service string
}

// selected returns the backends that s is about, in the order they are named.
func (m *model) selected(s Selection) ([]netip.AddrPort, error) {
	if !m.applied {
		return nil, ErrNotReady
	}
	within, err := m.within(s.Service)
	if err != nil {
		return nil, err
	}
	if s.All {
		return within, nil
	}
	var list []netip.AddrPort
	for _, name := range s.Backends {
		addrs, err := m.backendsNamed(name)
		if err != nil {
			return nil, err
		}
		if s.Service != "" {
			addrs = slices.DeleteFunc(addrs, func(a netip.AddrPort) bool { return !slices.Contains(within, a) })
		}
		if len(addrs) == 0 {
			return nil, fmt.Errorf("backend %q: %w to service %q; leave the service out or name one of %s",
				name, ErrUnknown, s.Service, m.names(within))
		}
		for _, addr := range addrs {
			if !slices.Contains(list, addr) {
				list = append(list, addr)
			}
		}
	}
	return list, nil
}

// within returns the backends the settings name, all or of one service.
func (m *model) within(name string) ([]netip.AddrPort, error) {
	var list []netip.AddrPort
	found := name == ""
	for _, id := range m.order {
		s := m.services[id]
		if name != "" && s.name != name {
			continue
		}
		found = true
		for _, mid := range s.members {
			if addr := m.members[mid].record.Addr; !slices.Contains(list, addr) {
				list = append(list, addr)
			}
		}
	}
	if !found {
		return nil, fmt.Errorf("service %q: %w; see show services", name, ErrUnknown)
	}
	return list, nil
}

// backendsNamed finds a backend by name or addr:port. A node is meant with all
// its addresses; where several others have the name, which one is meant cannot
// be guessed.
func (m *model) backendsNamed(name string) ([]netip.AddrPort, error) {
	var found []netip.AddrPort
	nodes := true
	for addr, b := range m.backends {
		if addr.String() == name {
			return []netip.AddrPort{addr}, nil
		}
		if b.name == name {
			found = append(found, addr)
			nodes = nodes && b.node
		}
	}
	slices.SortFunc(found, netip.AddrPort.Compare)
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("backend %q: %w; see show backends", name, ErrUnknown)
	case len(found) > 1 && !nodes:
		return nil, fmt.Errorf("backend %q: %d addresses have this name; give addr:port", name, len(found))
	}
	return found, nil
}

func (m *model) names(addrs []netip.AddrPort) string {
	var list []string
	for _, addr := range addrs {
		list = append(list, m.backends[addr].name)
	}
	return strings.Join(list, ", ")
}

// mention is where the settings name a backend.
type mention struct {
	services []string // their names, in their order
	weight   int      // in the first of them
}

func (m *model) mentions() map[netip.AddrPort]mention {
	found := make(map[netip.AddrPort]mention, len(m.backends))
	for _, id := range m.order {
		s := m.services[id]
		for _, mid := range s.members {
			mem := m.members[mid]
			of := found[mem.record.Addr]
			if len(of.services) == 0 {
				of.weight = m.weight(mem)
			}
			of.services = append(of.services, s.name)
			found[mem.record.Addr] = of
		}
	}
	return found
}
