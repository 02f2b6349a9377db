package steering

import (
	"slices"

	"sluice/loader"
	"sluice/steering/ring"
)

// layNew lays out the rings of new services, which no packet reaches yet.
func (t *Table) layNew(_ *journal, have, want *model) error {
	for _, id := range want.order {
		if _, old := have.services[id]; !old {
			t.lay(want, id)
		}
	}
	return nil
}

// layReached lays out all other rings that changed, also that of a service
// which comes back: until then it has nobody in it.
func (t *Table) layReached(have, want *model) {
	for id := range have.services {
		t.lay(want, id)
	}
}

// lay makes the rings of a service what the model wants. Until settings are
// applied nobody is wanted, and rings stay as the process before left them.
func (t *Table) lay(want *model, id loader.ServiceID) {
	s := want.services[id]
	if !want.applied || !s.steers() {
		return
	}
	layout := want.layout(s)
	if !s.laid || !slices.Equal(s.layout, layout) {
		t.layFirst(s, layout)
		s.layout, s.laid, s.chosen = layout, true, false
	}
	if s.record.TwoChoices && s.second != nil && !s.chosen {
		t.laySecond(s)
		s.chosen = true
	}
	want.services[id] = s
}

func (t *Table) layFirst(s service, layout []ring.Member) {
	entries := t.scratch
	if s.laid {
		read(s.ring, entries)
		ring.Update(t.opt.RingKey, s.layout, entries, layout)
	} else {
		entries = ring.Build(t.opt.RingKey, layout)
	}
	for i, m := range entries {
		store(s.ring, i, loader.MemberID(m))
	}
}

func (t *Table) laySecond(s service) {
	read(s.ring, t.scratch)
	for i, m := range ring.Second(t.opt.RingKey, s.layout, t.scratch) {
		store(s.second, i, loader.MemberID(m))
	}
}

func read(r Ring, entries []uint32) {
	for i := range entries {
		entries[i] = uint32(r.Get(i))
	}
}

// store leaves entries alone that need no change: the dataplane looks flows of
// changed ones up.
func store(r Ring, entry int, m loader.MemberID) {
	if r.Get(entry) != m {
		r.Set(entry, m)
	}
}
