package nexthop

import (
	"bytes"
	"net/netip"
)

// stale is what has to be asked of the kernel again.
type stale struct {
	all   bool
	dests map[netip.Addr]bool
}

func (s *stale) any() bool { return s.all || len(s.dests) > 0 }

func (s *stale) add(addr netip.Addr) {
	if s.dests == nil {
		s.dests = make(map[netip.Addr]bool)
	}
	s.dests[addr] = true
}

// note takes events in. Neighbours count at once; the rest makes addresses
// stale, and note says whether any are.
func (r *Resolver) note(events []event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		switch e.kind {
		case eventNeighbour, eventNeighbourGone:
			r.noteNeighbour(e)
		case eventLost:
			r.forgetKernel()
			r.bump = true
		case eventPolicy:
			r.stale.all, r.bump = true, true
		case eventRoute:
			r.bump = true // a client may be behind another router now
			r.noteAddresses(e.prefix)
		case eventAddress:
			r.noteAddresses(netip.PrefixFrom(e.prefix.Addr(), e.prefix.Addr().BitLen()))
		case eventLink:
			r.noteLink(e.link)
		}
	}
	return r.stale.any() || r.bump
}

// noteNeighbour puts a neighbour's new state into the entry that leads to it.
func (r *Resolver) noteNeighbour(e event) {
	was := r.neighbours[e.key]
	if e.kind == eventNeighbourGone {
		delete(r.neighbours, e.key)
	} else {
		r.neighbours[e.key] = e.neighbour
	}
	if was.valid() && e.neighbour.valid() && !bytes.Equal(was.mac, e.neighbour.mac) {
		// Flows to a client that has no id remember what they did last.
		r.bump = true
	}
	h := r.hops[e.key]
	if h == nil {
		return
	}
	ready := h.entry.Ready
	if err := r.update(h); err != nil {
		r.log.Error("follow neighbour", "addr", e.key.addr, "error", err)
	}
	if !ready && h.entry.Ready {
		r.staleAt(h) // whoever had no route stayed here, see reach
	}
	r.staleWatched(h)
	if e.neighbour.failed() {
		r.unwant(e.key)
	}
}

// staleWatched has Moved told of another MAC where somebody asked for it.
func (r *Resolver) staleWatched(h *hop) {
	for addr := range r.watched {
		if d := r.dests[addr]; d.hop == h && !bytes.Equal(d.neighbour(), d.toldMAC) {
			r.stale.add(addr)
		}
	}
}

// staleAt has the addresses looked up again that h was kept for without a route.
func (r *Resolver) staleAt(h *hop) {
	for _, d := range r.dests {
		if d.hop == h && d.unreachable != "" {
			r.stale.add(d.addr)
		}
	}
}

// noteAddresses makes stale what the prefix covers.
func (r *Resolver) noteAddresses(p netip.Prefix) {
	for addr := range r.dests {
		if p.Masked().Contains(addr) {
			r.stale.add(addr)
		}
	}
}

// noteLink makes everything stale if a path leads over the link. Others come
// and go by the hundred on a host with containers.
func (r *Resolver) noteLink(index int) {
	if r.links.forget(index) {
		r.stale.all, r.bump = true, true
	}
}

// reread makes up for events that were lost or never sent.
func (r *Resolver) reread() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgetKernel()
}

// forgetKernel reads everything again, now or with the next settle.
func (r *Resolver) forgetKernel() {
	r.stale.all = true
	r.links.forgetAll()
	all, err := r.kernel.neighbours()
	if err != nil {
		r.log.Error("read neighbours", "error", err)
		return
	}
	r.neighbours = all
	for k := range r.wanted.at {
		if all[k].failed() {
			r.unwant(k)
		}
	}
}
