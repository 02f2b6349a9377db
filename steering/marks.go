package steering

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"sluice/loader"
	"sluice/steering/ring"
)

// refreshFor is how long the flows of a ring entry are looked up at a time:
// longer than two hours, after which TCP keepalive speaks.
const refreshFor = 2*time.Hour + 15*time.Minute

// refreshGap is for how long nobody may see to the marks before it must be
// taken that an entry missed its turn: less than a turn is longer than it must
// be.
const refreshGap = 10 * time.Minute

// settleAfter is for how long pending marks are old before they may be cleared.
// A program takes microseconds from the mark to the handshake it announces.
const settleAfter = time.Second

// marker sees to the marks of the rings of one-way services, by which the
// dataplane knows which packets need no look at the flow table:
//
//   - moved and pending are cleared by nobody else. What was set is turned into
//     the old generation, then both tables are looked through, and what is old
//     goes where nothing in them contradicts the entry. Before that look, moved
//     marks are old for as long as a handshake may take;
//   - refresh goes round: the flows of every entry are looked up for one stretch
//     in each lifetime, so that the table learns which of them live.
//
// It belongs to whoever sweeps.
type marker struct {
	// moved and pending are when these marks were turned last, by the flows'
	// clock, and turned is false before the first time.
	moved, pending time.Duration
	turned         bool
	// all is until when the flows of every entry are looked up.
	all time.Duration
}

// adoptMarks makes up for what the process before did not do.
func (t *Table) adoptMarks(m *model) error {
	kept, err := t.dp.MarksKept()
	if err != nil {
		return err
	}
	now := t.opt.monotonic()
	if kept != 0 && now-kept > refreshGap {
		t.marks.all = now + t.opt.refreshFor
	}
	for _, s := range m.services {
		if kept == 0 && s.oneWay() {
			s.ring.Doubt()
		}
	}
	return nil
}

// sweepMarks turns, looks and clears.
func (t *Table) sweepMarks(ctx context.Context) error {
	now := t.opt.monotonic()
	ripe := t.marks.ripe(now, t.model.Load().embryo)
	var found map[loader.ServiceID]*loader.Found
	if ripe != 0 && t.marksLeft() {
		var err error
		if found, err = t.dp.Doubts(ctx); err != nil {
			return fmt.Errorf("look for what is in doubt: %w", err)
		}
	}
	t.settleRings(now, ripe, found)
	return t.dp.KeepMarks()
}

// settleRings does it for every ring. It keeps services from being given back
// meanwhile.
func (t *Table) settleRings(now time.Duration, ripe loader.Marks, found map[loader.ServiceID]*loader.Found) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.model.Load()
	turn := ripe
	if !t.marks.turned {
		turn = loader.Moved | loader.Pending
	}
	from, to := t.marks.refreshed(now, m.established, t.opt.refreshFor)
	counts := map[loader.ServiceID]loader.MarkCount{}
	for _, id := range slices.Sorted(maps.Keys(m.services)) {
		s := m.services[id]
		if !s.oneWay() || s.ring == nil {
			continue
		}
		s.ring.Settle(ripe, found[id])
		s.ring.Turn(turn)
		s.ring.Refresh(from, to)
		counts[id] = s.ring.Count()
	}
	t.marks.turn(now, turn)
	t.marked.Store(&counts)
}

// showMarks fills in what is in doubt.
func (t *Table) showMarks(m *model, list []ServiceStatus) {
	counts := t.marked.Load()
	if counts == nil {
		return
	}
	for i, s := range list {
		if c, ok := (*counts)[s.ID]; ok && m.services[s.ID].passesTable() {
			list[i].Marks = &c
		}
	}
}

// marksLeft reports whether the last pass left any that may be cleared.
func (t *Table) marksLeft() bool {
	counts := t.marked.Load()
	if counts == nil {
		return true
	}
	for _, c := range *counts {
		if c.Moved+c.Pending > 0 {
			return true
		}
	}
	return false
}

// ripe returns which marks have been old for long enough.
func (k *marker) ripe(now, embryo time.Duration) (marks loader.Marks) {
	if !k.turned {
		return 0
	}
	if now-k.moved >= embryo+tickSlack {
		marks |= loader.Moved
	}
	if now-k.pending >= settleAfter {
		marks |= loader.Pending
	}
	return marks
}

func (k *marker) turn(now time.Duration, marks loader.Marks) {
	if marks&loader.Moved != 0 {
		k.moved = now
	}
	if marks&loader.Pending != 0 {
		k.pending = now
	}
	k.turned = true
}

// refreshed returns the entries whose turn it is. A flow that spoke at the
// beginning of one turn speaks again before the end of the next, so a round
// takes one turn less than a lifetime.
func (k *marker) refreshed(now, lifetime, stretch time.Duration) (from, to int) {
	turns := int(lifetime/stretch) - 1
	if turns <= 1 || now < k.all {
		return 0, ring.Entries
	}
	at := int(now/stretch) % turns
	return at * ring.Entries / turns, (at + 1) * ring.Entries / turns
}
