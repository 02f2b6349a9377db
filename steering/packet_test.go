package steering

import (
	"net/netip"

	"sluice/loader"
)

// What follows is the programs' side of the fake: packets.

// syn starts a handshake. It returns where the SYN goes; ok is false if it is
// refused or not for a service.
func (d *fakeDataplane) syn(client, listen netip.AddrPort) (backend netip.AddrPort, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ours := d.published[listen]
	if !ours {
		return backend, false
	}
	k := flowKey{client, id}
	member := d.rings[id].Get(d.FlowHash(client, d.services[id]))
	if f := d.flows[k]; f != nil && f.state < loader.FlowClosed && !d.expired(f) {
		member = f.member
	}
	sc := d.serviceCounts[id]
	if sc.SYNs++; member == 0 {
		sc.Refused++
	}
	d.serviceCounts[id] = sc
	if member == 0 {
		return backend, false
	}
	backend, ok = d.deliver(id, member)
	c := d.memberCounts[member]
	c.SYNs++
	d.memberCounts[member] = c
	d.rings[id].mark(d.FlowHash(client, d.services[id]))
	d.embryos[k] = &fakeEmbryo{member: member, backend: backend, made: d.clock.monotonic()}
	return backend, ok
}

// ack completes a handshake.
func (d *fakeDataplane) ack(client, listen netip.AddrPort) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := d.published[listen]
	k := flowKey{client, id}
	e := d.embryos[k]
	now := d.clock.monotonic()
	if e == nil || now-e.made > d.lifetimes.Embryo {
		return false
	}
	delete(d.embryos, k)
	if backend, ok := d.deliver(id, e.member); !ok || backend != e.backend {
		d.misdirect("handshake of %v with %v ended at %v", client, e.backend, backend)
		return false
	}
	if old := d.flows[k]; old != nil {
		d.countClosed(old)
	}
	c := d.memberCounts[e.member]
	c.FlowsOpened++
	d.memberCounts[e.member] = c
	d.flows[k] = &fakeFlow{member: e.member, backend: e.backend, state: loader.FlowEstablished, opened: now, seen: now}
	return true
}

// deliver counts a packet to a member and returns who gets it.
func (d *fakeDataplane) deliver(id loader.ServiceID, member loader.MemberID) (netip.AddrPort, bool) {
	m, ok := d.members[member]
	if !ok || m.Service != id {
		d.misdirect("packet for service %d met member %d, which is %+v", id, member, m)
		return netip.AddrPort{}, false
	}
	c := d.memberCounts[member]
	c.PacketsIn++
	c.BytesIn += 60
	d.memberCounts[member] = c
	sc := d.serviceCounts[id]
	sc.PacketsIn++
	sc.BytesIn += 60
	d.serviceCounts[id] = sc
	return m.Addr, true
}

// open does both; it returns who took the flow.
func (d *fakeDataplane) open(client, listen netip.AddrPort) (netip.AddrPort, bool) {
	backend, ok := d.syn(client, listen)
	return backend, ok && d.ack(client, listen)
}

// data sends a packet of an established flow; false means that it was reset or
// that nobody knows it.
func (d *fakeDataplane) data(client, listen netip.AddrPort) (netip.AddrPort, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := d.published[listen]
	f := d.flows[flowKey{client, id}]
	if f == nil || f.state >= loader.FlowClosed || d.expired(f) {
		return netip.AddrPort{}, false
	}
	// A one-way service's packet passes the table by where the ring is clear.
	member, at := f.member, d.FlowHash(client, d.services[id])
	if r := d.rings[id]; d.services[id].Mode.OneWay() && !r.InDoubt(at) {
		member = r.Get(at)
	} else {
		f.seen = d.clock.monotonic()
	}
	backend, ok := d.deliver(id, member)
	if ok && backend != f.backend {
		d.misdirect("flow of %v moved from %v to %v", client, f.backend, backend)
	}
	return backend, ok
}

// fin ends a flow from both sides.
func (d *fakeDataplane) fin(client, listen netip.AddrPort) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.flows[flowKey{client, d.published[listen]}]; f != nil && f.state < loader.FlowClosed {
		f.state, f.seen = loader.FlowClosed, d.clock.monotonic()
		d.countClosed(f)
	}
}

// mark does what a SYN does before it leaves an embryo.
func (r *fakeRing) mark(entry int) {
	if !r.d.services[r.service].Mode.OneWay() {
		return
	}
	r.Announce(entry, loader.Pending)
}
