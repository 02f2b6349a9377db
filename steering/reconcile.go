package steering

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"sluice/loader"
)

// advance brings the dataplane from one model to the next. No packet meets
// anything half made on the way:
//
//  1. records of new services and members: no ring and no address names them;
//  2. the files, so that a crash from here on loses nothing;
//  3. rings of new services;
//  4. changed records, then VIP:port → id for new services, one store each;
//  5. the mark on services that left, after those that take their place;
//  6. rings in use: each entry is one store and its member exists since 1.
//
// Nothing after 5 can fail, and what fails before is taken back. Records are
// never deleted here but by reap, once no flow needs them.
func (t *Table) advance(have, want *model) error {
	var j journal
	for _, step := range []func(*journal, *model, *model) error{
		t.addServices, t.openSeconds, t.putMembers, t.setNodes, t.openLedger, t.saveOrders,
		t.layNew, t.changeServices, t.publishServices, t.markRemoved,
	} {
		if err := step(&j, have, want); err != nil {
			return t.takeBack(&j, err)
		}
	}
	t.layReached(have, want)
	return nil
}

func (t *Table) takeBack(j *journal, cause error) error {
	err := j.rollback()
	if err == nil {
		return cause
	}
	t.unsure = true
	t.alarms.raise("dataplane", Alarm{
		Severity: SeverityCritical, Subject: "dataplane",
		Text: fmt.Sprintf("a change failed and could not be taken back: %v", err),
		Hint: "it is tried again with each change and each sweep; if it stays, see the log of the node",
	})
	return errors.Join(cause, err)
}

// addServices writes the records of new services.
func (t *Table) addServices(j *journal, have, want *model) error {
	for _, id := range slices.Sorted(maps.Keys(want.services)) {
		if _, old := have.services[id]; old {
			continue
		}
		s := want.services[id]
		err := j.do(func() error { return t.dp.PutService(id, s.record) },
			func() error { return t.dp.DeleteService(id) })
		if err == nil && s.steers() {
			s.ring, err = t.dp.Ring(id)
		}
		if err != nil {
			return fmt.Errorf("add service %q: %w", s.name, err)
		}
		want.services[id] = s
	}
	return nil
}

// openSeconds finds the rings of second choices. One that is empty is not asked.
func (t *Table) openSeconds(_ *journal, _, want *model) (err error) {
	for _, id := range slices.Sorted(maps.Keys(want.services)) {
		s := want.services[id]
		if !s.record.TwoChoices || s.second != nil {
			continue
		}
		if s.second, err = t.dp.Second(id); err != nil {
			return fmt.Errorf("second choices of service %q: %w", s.name, err)
		}
		want.services[id] = s
	}
	return nil
}

// putMembers writes new and changed members, and where their checks go.
func (t *Table) putMembers(j *journal, have, want *model) error {
	for _, id := range slices.Sorted(maps.Keys(want.members)) {
		mem := want.members[id]
		was, old := have.members[id]
		var err error
		if !old || was.record != mem.record {
			err = j.do(func() error { return t.dp.PutMember(id, mem.record) }, func() error {
				if old {
					return t.dp.PutMember(id, was.record)
				}
				return t.dp.DeleteMember(id)
			})
		}
		if err == nil {
			err = t.putCheck(j, have, was, mem, id)
		}
		if err != nil {
			return fmt.Errorf("write backend %v of %q: %w", mem.record.Addr, want.services[mem.record.Service].name, err)
		}
	}
	return nil
}

// setNodes tells who may send connections on to this node. It comes before the
// services that ask.
func (t *Table) setNodes(j *journal, have, want *model) error {
	was, is := have.nodes(), want.nodes()
	if have.applied && reflect.DeepEqual(was, is) {
		return nil
	}
	return j.do(func() error { return t.dp.SetNodes(is) }, func() error { return t.dp.SetNodes(was) })
}

// putCheck lets the check address of a member reach it. An earlier process may
// have done so, but what goes with it in this one, it had for itself.
func (t *Table) putCheck(j *journal, have *model, was, mem member, id loader.MemberID) error {
	switch {
	case !mem.check.IsValid() || have.applied && was.check == mem.check:
		return nil
	case was.check == mem.check:
		return t.dp.PutCheck(mem.check, id) // which changes nothing to take back
	default:
		return j.do(func() error { return t.dp.PutCheck(mem.check, id) },
			func() error { return t.dp.DeleteCheck(mem.check) })
	}
}

// openLedger starts the counters of new ids at what the ids counted for their
// owners before, and writes the ledger before a packet can count.
func (t *Table) openLedger(j *journal, have, want *model) error {
	if want.ledger.edition == have.ledger.edition {
		return nil
	}
	now, err := readCounters(t.dp)
	if err != nil {
		return err
	}
	for id := range want.services {
		if _, old := have.services[id]; !old {
			want.ledger.Services.open(id, now.services[id])
		}
	}
	for id := range want.members {
		if _, old := have.members[id]; !old {
			want.ledger.Members.open(id, now.members[id])
		}
	}
	return j.do(func() error { return t.saveLedger(&want.ledger) },
		func() error { return t.saveLedger(&have.ledger) })
}

func (t *Table) saveLedger(l *ledger) error {
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if err := t.opt.save(t.opt.DataDir, ledgerFile, data); err != nil {
		return fmt.Errorf("write counters down: %w", err)
	}
	return nil
}

// saveOrders writes operators' orders if they changed.
func (t *Table) saveOrders(j *journal, have, want *model) error {
	old, err := ordersOf(have)
	if err != nil {
		return err
	}
	data, err := ordersOf(want)
	if err != nil || bytes.Equal(old, data) {
		return err
	}
	put := func(data []byte) func() error {
		return func() error { return t.opt.save(t.opt.DataDir, stateFile, data) }
	}
	if err := j.do(put(data), put(old)); err != nil {
		return fmt.Errorf("write orders down: %w", err)
	}
	return nil
}

// changeServices rewrites the records of services that stay or come back.
func (t *Table) changeServices(j *journal, have, want *model) error {
	return t.rewrite(j, have, want, func(s service) bool { return !s.record.Removed })
}

// markRemoved rewrites the records of services that leave.
func (t *Table) markRemoved(j *journal, have, want *model) error {
	return t.rewrite(j, have, want, func(s service) bool { return s.record.Removed })
}

func (t *Table) rewrite(j *journal, have, want *model, which func(service) bool) error {
	for _, id := range slices.Sorted(maps.Keys(want.services)) {
		s := want.services[id]
		was, old := have.services[id]
		if !old || !which(s) || sameRecord(was.record, s.record) {
			continue
		}
		if s.oneWay() && was.record.ByClient != s.record.ByClient {
			s.ring.Doubt() // from the next store on every flow falls on another entry
		}
		err := j.do(func() error { return t.dp.PutService(id, s.record) },
			func() error { return t.dp.PutService(id, was.record) })
		if err != nil {
			return fmt.Errorf("change service %q: %w", s.name, err)
		}
	}
	return nil
}

// publishServices makes packets reach the services that they did not. After a
// restart it is said again for all.
func (t *Table) publishServices(j *journal, have, want *model) error {
	for _, id := range want.order {
		if have.services[id].phase == phaseNamed {
			continue
		}
		s := want.services[id]
		before := have.published(s)
		err := j.do(func() error { return t.dp.Publish(id) }, func() error {
			if before != 0 {
				return t.dp.Publish(before)
			}
			return t.dp.Withdraw(id)
		})
		if err != nil {
			return fmt.Errorf("publish service %q: %w", s.name, err)
		}
	}
	return nil
}

// published returns which service has the address of s, 0 for none.
func (m *model) published(s service) loader.ServiceID {
	for _, id := range slices.Sorted(maps.Keys(m.services)) {
		o := m.services[id]
		if o.record.Listen == s.record.Listen && o.phase != phaseReplaced {
			return id
		}
	}
	return 0
}
