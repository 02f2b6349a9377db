package steering

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"sluice/loader"
)

// calm is since when no SYN reached a member that left the settings.
type calm struct {
	syns  uint64
	since time.Duration
}

// tickSlack is by how much the dataplane, which counts time in ticks of 1.07 s,
// may keep a handshake longer than it is told.
const tickSlack = 3 * time.Second

// reap gives back the members and services that left the settings and that no
// flow needs any more: the counters say that none is open, the sweep met none,
// and no handshake can be under way.
func (t *Table) reap(x *index) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	have := t.model.Load()
	if !have.applied {
		return nil
	}
	if err := t.ensure(); err != nil {
		return err
	}
	have = t.model.Load()
	now, err := readCounters(t.dp)
	if err != nil {
		return err
	}
	want := have.clone()
	for _, id := range slices.Sorted(maps.Keys(have.members)) {
		if t.spent(have, x, now, id) {
			delete(want.members, id)
		}
	}
	members := want.grouped()
	for id, s := range have.services {
		if s.phase != phaseNamed && len(members[id]) == 0 && x.services[id] == 0 {
			delete(want.services, id)
		}
	}
	if len(want.members) == len(have.members) && len(want.services) == len(have.services) {
		return nil
	}
	return t.discard(have, want, now)
}

// spent reports whether a member may go.
func (t *Table) spent(m *model, x *index, now readings, id loader.MemberID) bool {
	mem := m.members[id]
	if mem.named {
		delete(t.calms, id)
		return false
	}
	syns := now.members[id].SYNs
	c, ok := t.calms[id]
	if !ok || c.syns != syns {
		c = calm{syns: syns, since: t.opt.monotonic()}
		t.calms[id] = c
	}
	return x.begun-c.since >= m.embryo+tickSlack && now.flowsNow(id) == 0 && x.of(id).all() == 0
}

// discard takes the records that want lacks out of the dataplane. The ledger
// is written first: what it says is true with and without the records.
func (t *Table) discard(have, want *model, now readings) error {
	want.ledger = want.ledger.edit()
	named := map[netip.AddrPort]bool{}
	for id, mem := range have.members {
		if _, stays := want.members[id]; stays {
			named[mem.record.Addr] = true
		} else {
			want.ledger.Members.release(id, now.members[id])
		}
	}
	for id := range have.services {
		if _, stays := want.services[id]; !stays {
			want.ledger.Services.release(id, now.services[id])
		}
	}
	for addr := range have.backends {
		if !named[addr] {
			delete(want.backends, addr)
		}
	}
	var j journal
	err := j.do(func() error { return t.saveLedger(&want.ledger) }, func() error { return t.saveLedger(&have.ledger) })
	if err == nil {
		err = t.saveOrders(&j, have, want)
	}
	if err == nil {
		err = t.deleteMembers(&j, have, want)
	}
	if err == nil {
		err = t.deleteServices(&j, have, want)
	}
	if err != nil {
		return t.takeBack(&j, fmt.Errorf("give back records: %w", err))
	}
	maps.DeleteFunc(t.calms, func(id loader.MemberID, _ calm) bool {
		_, stays := want.members[id]
		return !stays
	})
	t.publish(have, want)
	return nil
}

func (t *Table) deleteMembers(j *journal, have, want *model) error {
	for _, id := range slices.Sorted(maps.Keys(have.members)) {
		if _, stays := want.members[id]; stays {
			continue
		}
		mem := have.members[id]
		if mem.check.IsValid() {
			err := j.do(func() error { return t.dp.DeleteCheck(mem.check) },
				func() error { return t.dp.PutCheck(mem.check, id) })
			if err != nil {
				return err
			}
		}
		err := j.do(func() error { return t.dp.DeleteMember(id) },
			func() error { return t.dp.PutMember(id, mem.record) })
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteServices gives addresses back before the records go. The address of a
// service that was replaced is another's.
func (t *Table) deleteServices(j *journal, have, want *model) error {
	for _, id := range slices.Sorted(maps.Keys(have.services)) {
		if _, stays := want.services[id]; stays {
			continue
		}
		s := have.services[id]
		if s.phase != phaseReplaced {
			err := j.do(func() error { return t.dp.Withdraw(id) }, func() error { return t.dp.Publish(id) })
			if err != nil {
				return err
			}
		}
		err := j.do(func() error { return t.dp.DeleteService(id) },
			func() error { return t.dp.PutService(id, s.record) })
		if err != nil {
			return err
		}
	}
	return nil
}
