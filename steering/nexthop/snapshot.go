package nexthop

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"time"

	"sluice/loader"
)

// Status is what is known of the way to one address.
type Status struct {
	// Addr is the backend, router or client.
	Addr netip.Addr
	// Wanted marks an address that packets asked for, with no Acquire.
	Wanted bool
	ID     loader.NextHopID
	// Ready says that packets get there. Reason is empty then, and else says
	// why they do not. Since is when that last changed.
	Ready  bool
	Reason string
	Since  time.Time
	// Neighbour is whom frames are handed to: Addr itself on a network of this
	// node, else a router. It is invalid where no route leads there.
	Neighbour netip.Addr
	// Interface is the one the routing table names, Carrier the one below it
	// that frames leave by and that must carry XDP; mostly they are the same.
	Interface, Carrier string
	VLAN               uint16 // 0 for untagged
	MTU                uint16 // of Interface, in bytes
	Source             net.HardwareAddr
	Destination        net.HardwareAddr // the last one known
	// Kept is how the neighbour is held resolved.
	Kept Kept
}

// Kept is how the kernel's entry of a neighbour is held resolved.
type Kept string

// The ways, best first.
const (
	KeptStatic  Kept = "static"  // written by an administrator
	KeptManaged Kept = "managed" // by the kernel
	KeptProbed  Kept = "probed"  // from here, each ten seconds: the kernel is older than 5.16
	KeptNot     Kept = "no"
)

// Snapshot returns the state of every address, acquired ones first, each part
// sorted by address.
func (r *Resolver) Snapshot() []Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Status, 0, len(r.dests)+r.wanted.order.Len())
	for _, d := range r.dests {
		s := r.status(d.addr, d.hop)
		if d.unreachable != "" {
			s.Ready, s.Reason = false, d.unreachable
		}
		out = append(out, s)
	}
	for k, e := range r.wanted.at {
		s := r.status(k.addr, e.Value.(*want).hop)
		s.Wanted = true
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Status) int {
		if a.Wanted != b.Wanted {
			if b.Wanted {
				return -1
			}
			return 1
		}
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.ID, b.ID))
	})
	return out
}

func (r *Resolver) status(addr netip.Addr, h *hop) Status {
	s := Status{
		Addr: addr, ID: h.id, Ready: h.entry.Ready, Reason: h.reason, Since: h.since,
		VLAN: h.entry.VLAN, MTU: h.entry.MTU, Source: h.entry.Source, Destination: h.entry.Destination,
		Kept: KeptNot,
	}
	if h.key.link == 0 {
		return s
	}
	s.Neighbour = h.key.addr
	if p, err := descend(r.links, h.key.link); err == nil {
		s.Interface, s.Carrier = p.name, p.below
	} else if l, err := r.links.at(h.key.link); err == nil {
		s.Interface = l.name
	}
	switch n := r.neighbours[h.key]; {
	case n.static():
		s.Kept = KeptStatic
	case n.managed:
		s.Kept = KeptManaged
	case h.kept && r.managed == unsupported:
		s.Kept = KeptProbed
	}
	return s
}
