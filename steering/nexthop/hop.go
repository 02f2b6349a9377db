package nexthop

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"sluice/loader"
)

// hop is one entry of the next-hop table.
type hop struct {
	key   key
	id    loader.NextHopID
	users int            // dests that name it, and one for being wanted
	entry loader.NextHop // as it was written last
	of    key            // the neighbour that entry leads to
	// reason says why the entry is not ready, "" where it is.
	reason string
	since  time.Time // of the last change between ready and not
	kept   bool      // the kernel was asked to keep the neighbour
}

// locate asks the routing table for addr. unreachable is why no interface
// leads there, with a key of addr's own; the error matches ErrLocal.
func (r *Resolver) locate(addr netip.Addr) (to route, unreachable string, err error) {
	to, err = r.kernel.lookup(addr)
	switch {
	case errors.Is(err, ErrLocal):
		return route{}, "", err
	case err != nil:
		return route{key: key{addr: addr}}, err.Error(), nil
	}
	return to, "", nil
}

// hopAt returns the hop of k, made if there is none: under the id current if
// its entry still fits, else under a free one.
func (r *Resolver) hopAt(k key, current loader.NextHopID) (*hop, error) {
	if h := r.hops[k]; h != nil {
		return h, nil
	}
	h := &hop{key: k, since: time.Now()}
	if r.adopts(current, k) {
		h.id = current
		h.entry, h.of = r.ids.claim(current), k
	} else {
		id, err := r.ids.take()
		if err != nil {
			return nil, err
		}
		h.id = id
	}
	r.hops[k] = h
	return h, nil
}

// adopts says whether the entry id of an earlier life leads to k. Where routes
// changed meanwhile it does not: other members may name id, and writing k into
// it would send their packets to a stranger. So only a sole user may take an
// entry on trust.
func (r *Resolver) adopts(id loader.NextHopID, k key) bool {
	entry, ok := r.ids.adoptable[id]
	sole := r.ids.sharers[id] == 1
	if !ok || k.link == 0 {
		return ok && sole
	}
	p, err := descend(r.links, k.link)
	if err != nil || entry.Interface != p.carrier || entry.VLAN != p.vlan {
		return false
	}
	if n := r.neighbours[k]; n.valid() {
		return bytes.Equal(n.mac, entry.Destination)
	}
	return sole
}

func (r *Resolver) attach(d *dest, h *hop) {
	d.hop = h
	h.users++
}

// detach takes one user from h; the last one takes h along.
func (r *Resolver) detach(h *hop) {
	if h.users--; h.users > 0 {
		return
	}
	delete(r.hops, h.key)
	r.letGo(h)
	if err := r.free(h.id); err != nil {
		r.log.Error("free next hop", "id", h.id, "error", err)
	}
}

// free empties the entry of id. Flows may remember the id until routes were
// bumped; before that it is not given out again.
func (r *Resolver) free(id loader.NextHopID) error {
	if err := r.dp.PutNextHop(id, loader.NextHop{}); err != nil {
		// Still in use, and so never another's: the entry may be what it was.
		return fmt.Errorf("free next hop %d: %v", id, err)
	}
	r.ids.retire(id)
	r.bump = true
	return nil
}

// place leads d to the neighbour k. A hop that only d uses changes in place, so
// that its id stays; otherwise d gets another one and the old one is kept until
// the members were told.
func (r *Resolver) place(d *dest, k key) error {
	old := d.hop
	if old.key == k {
		return nil
	}
	if r.hops[k] == nil && old.users == 1 {
		r.letGo(old)
		delete(r.hops, old.key)
		old.key = k
		r.hops[k] = old
		return nil
	}
	h, err := r.hopAt(k, 0)
	if err != nil {
		return fmt.Errorf("resolve next hop of %s: %v", d.addr, err)
	}
	r.attach(d, h)
	d.left = append(d.left, old)
	return nil
}

// update brings h's entry in line with links and neighbours, and has the kernel
// keep the neighbour resolved.
func (r *Resolver) update(h *hop) error {
	entry, reason := r.want(h)
	if (reason == "") != (h.reason == "") {
		h.since = time.Now()
	}
	h.reason = reason
	if !same(entry, h.entry) {
		if err := r.dp.PutNextHop(h.id, entry); err != nil {
			return fmt.Errorf("write next hop %d: %v", h.id, err)
		}
		// An entry nobody could have used yet is in no flow's memory.
		r.bump = r.bump || h.entry.Ready
		h.entry = entry
	}
	h.of = h.key
	return r.keep(h)
}

// want computes h's entry and, where it is not ready, why.
func (r *Resolver) want(h *hop) (loader.NextHop, string) {
	entry := h.entry
	entry.Ready = false
	if h.key.link == 0 {
		return entry, "no route"
	}
	p, err := descend(r.links, h.key.link)
	if err != nil {
		return entry, err.Error()
	}
	known := h.of == h.key && entry.Interface == p.carrier
	if !known {
		entry.Destination = nil // whoever answers, it is not the old MAC
	}
	entry.Interface, entry.Source, entry.VLAN, entry.MTU = p.carrier, p.source, p.vlan, p.mtu
	n := r.neighbours[h.key]
	switch {
	case n.valid():
		entry.Destination, entry.Ready = n.mac, true
		return entry, ""
	case n.failed():
		return entry, fmt.Sprintf("%s on %s does not answer", h.key.addr, p.name)
	case h.entry.Ready && known:
		// The kernel forgot the neighbour or is asking again, which is no sign
		// that it is gone: established flows go on by what was true last.
		entry.Ready = true
		return entry, ""
	}
	return entry, fmt.Sprintf("waiting for %s on %s to answer", h.key.addr, p.name)
}

func same(a, b loader.NextHop) bool {
	return a.Interface == b.Interface && a.VLAN == b.VLAN && a.MTU == b.MTU && a.Ready == b.Ready &&
		bytes.Equal(a.Source, b.Source) && bytes.Equal(a.Destination, b.Destination)
}

// tell bumps the routes if this pass changed something that flows remember. A
// bump that failed is owed to the next pass.
func (r *Resolver) tell() {
	if !r.bump {
		return
	}
	if err := r.dp.BumpRoutes(); err != nil {
		r.log.Error("bump routes", "error", err)
		return
	}
	r.bump = false
	r.ids.cooled()
}
