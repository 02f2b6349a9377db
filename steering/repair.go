package steering

import (
	"maps"
	"slices"

	"sluice/loader"
)

// ensure brings the dataplane back to the model after a change that could not
// be taken back. The caller holds mu.
func (t *Table) ensure() error {
	if !t.unsure {
		return nil
	}
	services, err := t.dp.Services()
	if err != nil {
		return err
	}
	members, err := t.dp.Members()
	if err != nil {
		return err
	}
	want := t.model.Load().clone()
	if err := t.adoptRecords(want, services, members); err != nil {
		return err
	}
	want.ledger = want.ledger.edit()
	if err := t.claimIDs(want, false); err != nil {
		return err
	}
	for id, s := range want.services {
		s.laid, s.chosen = false, false
		want.services[id] = s
	}
	if err := t.advance(t.asFound(want, services, members), want); err != nil {
		return err
	}
	if err := t.rewriteAll(want); err != nil {
		return err
	}
	t.unsure = false
	t.alarms.clear("dataplane")
	t.model.Store(want)
	return nil
}

// asFound returns the model with the records that the dataplane really holds.
// No service in it is named, so that all are published again.
func (t *Table) asFound(m *model, services map[loader.ServiceID]loader.Service, members map[loader.MemberID]loader.Member) *model {
	found := m.clone()
	maps.DeleteFunc(found.services, func(id loader.ServiceID, _ service) bool {
		_, ok := services[id]
		return !ok
	})
	maps.DeleteFunc(found.members, func(id loader.MemberID, _ member) bool {
		_, ok := members[id]
		return !ok
	})
	for id, s := range found.services {
		s.record, s.phase = services[id], phaseRemoved
		if !t.dp.Published(id) {
			s.phase = phaseReplaced
		}
		found.services[id] = s
	}
	for id, mem := range found.members {
		mem.record = members[id]
		found.members[id] = mem
	}
	return found
}

// rewriteAll writes what cannot be read back: where checks go, and the files.
func (t *Table) rewriteAll(m *model) error {
	for _, id := range slices.Sorted(maps.Keys(m.members)) {
		if check := m.members[id].check; check.IsValid() {
			if err := t.dp.PutCheck(check, id); err != nil {
				return err
			}
		}
	}
	orders, err := ordersOf(m)
	if err != nil {
		return err
	}
	if err := t.opt.save(t.opt.DataDir, stateFile, orders); err != nil {
		return err
	}
	return t.saveLedger(&m.ledger)
}
