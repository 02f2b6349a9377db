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

// lay makes the ring of a service what the model wants. Until settings are
// applied nobody is wanted, and rings stay as the process before left them.
func (t *Table) lay(want *model, id loader.ServiceID) {
	s := want.services[id]
	if !want.applied || !s.steers() {
		return
	}
	layout := want.layout(s)
	if s.laid && slices.Equal(s.layout, layout) {
		return
	}
	entries := t.scratch
	if s.laid {
		for i := range entries {
			entries[i] = uint32(s.ring.Get(i))
		}
		ring.Update(t.opt.RingKey, s.layout, entries, layout)
	} else {
		entries = ring.Build(t.opt.RingKey, layout)
	}
	for i, m := range entries {
		store(s.ring, i, loader.MemberID(m))
	}
	s.layout, s.laid = layout, true
	want.services[id] = s
}

// store leaves entries alone that need no change: the dataplane looks flows of
// changed ones up.
func store(r Ring, entry int, m loader.MemberID) {
	if r.Get(entry) != m {
		r.Set(entry, m)
	}
}
