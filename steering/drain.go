package steering

import (
	"maps"
	"net/netip"
	"time"

	"sluice/loader"
)

// Silence is for how long a flow must be without a packet to be shown as
// silent.
const Silence = 15 * time.Minute

// Drain is how far a drain has come.
type Drain struct {
	Since time.Time
	// Deadline is when what is left is reset, zero for never.
	Deadline time.Time
	// IdleDone is from which silence on a flow counts as ended, 0 for never.
	IdleDone time.Duration
	// Flows are what is left, Silent those of them without a packet for
	// [Silence] or, if that is set, for IdleDone.
	Flows, Silent uint64
}

// drainPeriod is how often drains are looked at, and for how long nothing must
// be left for one to have ended: a handshake that was under way when it began
// gets the time to become a flow.
const drainPeriod = time.Second

// drainer follows the drains. It is used by one goroutine.
type drainer struct {
	t *Table
	// empty is since when nothing is left of a backend.
	empty map[netip.AddrPort]time.Duration
	// told is what the last event said.
	told map[netip.AddrPort]Drain
}

func newDrainer(t *Table) *drainer {
	return &drainer{t: t, empty: map[netip.AddrPort]time.Duration{}, told: map[netip.AddrPort]Drain{}}
}

// tick looks at every drain once.
func (d *drainer) tick() error {
	m := d.t.model.Load()
	if !m.draining() {
		clear(d.empty)
		clear(d.told)
		return nil
	}
	m, now, err := d.t.counted()
	if err != nil {
		return err
	}
	var over []netip.AddrPort
	drains := d.t.drains(m, now)
	for addr, progress := range drains {
		if d.over(m.backends[addr], progress) {
			over = append(over, addr)
			continue
		}
		if !progress.Deadline.IsZero() && !d.t.opt.now().Before(progress.Deadline) {
			d.t.poke() // the pass ends what is left
		}
		if progress != d.told[addr] {
			d.told[addr] = progress
			d.t.feed.drain(m, addr, progress)
		}
	}
	d.forget(drains)
	if len(over) == 0 {
		return nil
	}
	return d.t.endDrains(m, over)
}

func (m *model) draining() bool {
	for _, b := range m.backends {
		if b.order.State == StateDraining {
			return true
		}
	}
	return false
}

// over reports whether nothing is left of a backend, for long enough.
func (d *drainer) over(b backend, progress Drain) bool {
	now := d.t.opt.monotonic()
	x := d.t.index.Load()
	// Only a sweep since the order tells which flows are silent.
	idle := b.order.IdleDone > 0 && progress.Flows <= progress.Silent && x.at.After(b.order.Since)
	if progress.Flows > 0 && !idle {
		delete(d.empty, b.addr)
		return false
	}
	since, ok := d.empty[b.addr]
	if !ok {
		d.empty[b.addr] = now
		return false
	}
	return now-since >= drainPeriod
}

// forget drops what is known of drains that are over or were taken back.
func (d *drainer) forget(drains map[netip.AddrPort]Drain) {
	for addr := range d.told {
		if _, goes := drains[addr]; !goes {
			delete(d.told, addr)
		}
	}
	for addr := range d.empty {
		if _, goes := drains[addr]; !goes {
			delete(d.empty, addr)
		}
	}
}

// endDrains disables backends whose drain is over, unless the operator spoke
// meanwhile.
func (t *Table) endDrains(seen *model, over []netip.AddrPort) error {
	_, _, err := t.change(func(next *model) error {
		for _, addr := range over {
			b, ok := next.backends[addr]
			if !ok || b.order.State != StateDraining || !b.order.Since.Equal(seen.backends[addr].order.Since) {
				continue
			}
			b.order = order{State: StateDisabled, Since: t.opt.now(), Weights: b.order.Weights}
			next.backends[addr] = b
		}
		next.alignVerdicts(t.opt.now(), nil)
		return nil
	})
	return err
}

// drains returns how far each drain has come.
func (t *Table) drains(m *model, now readings) map[netip.AddrPort]Drain {
	list := map[netip.AddrPort]Drain{}
	for addr, b := range m.backends {
		if o := b.order; o.State == StateDraining {
			list[addr] = Drain{Since: o.Since, Deadline: o.Deadline, IdleDone: o.IdleDone}
		}
	}
	limits := map[loader.MemberID]time.Duration{}
	for id, mem := range m.members {
		d, drains := list[mem.record.Addr]
		if !drains {
			continue
		}
		d.Flows += now.flowsNow(id)
		list[mem.record.Addr] = d
		if limits[id] = d.IdleDone; d.IdleDone == 0 {
			limits[id] = Silence
		}
	}
	for id, n := range t.silent(limits) {
		addr := m.members[id].record.Addr
		d := list[addr]
		d.Silent += n
		list[addr] = d
	}
	return list
}

// silence is how many flows of each member were silent for longer than a limit
// when they were swept.
type silence struct {
	index  *index
	limits map[loader.MemberID]time.Duration
	counts map[loader.MemberID]uint64
}

// silent counts the flows of the members in limits that are silent for that
// long. Asking again about the same sweep costs nothing.
func (t *Table) silent(limits map[loader.MemberID]time.Duration) map[loader.MemberID]uint64 {
	if len(limits) == 0 {
		return nil
	}
	x := t.index.Load()
	if s := t.silence.Load(); s != nil && s.index == x && maps.Equal(s.limits, limits) {
		return s.counts
	}
	counts := map[loader.MemberID]uint64{}
	for _, chunk := range x.chunks {
		for i := range chunk {
			e := &chunk[i]
			if limit, asked := limits[e.member]; asked && e.state < loader.FlowClosed && x.idle(e) >= limit {
				counts[e.member]++
			}
		}
	}
	t.silence.Store(&silence{index: x, limits: limits, counts: counts})
	return counts
}
