package steering

import (
	"testing"

	"sluice/loader"
)

// leftBehind is a rig whose dataplane holds a record that a change could not
// take back.
func leftBehind(t *testing.T) *rig {
	r := newRig(t)
	r.apply(serving("b1"))
	r.allUp()
	r.dp.members[2] = loader.Member{Service: 1, Addr: backendAddr("b4"), NextHop: 1}
	r.table.unsure = true
	return r
}

func TestLeftoverRecordsAreGivenBack(t *testing.T) {
	r := leftBehind(t)
	r.apply(serving("b1"))
	r.wantRecords("at first", map[string]int{"b1": 1, "b4": 1})
	r.settledFor(embryo)
	r.wantRecords("in the end", map[string]int{"b1": 1})
	if got := r.alarms("dataplane"); len(got) != 0 || r.table.unsure {
		t.Errorf("alarms are %+v", got)
	}
}

func TestLeftoverRecordsKeepTheirIDs(t *testing.T) {
	r := leftBehind(t)
	full := r.table.model.Load().clone()
	full.ledger = full.ledger.edit()
	full.ledger.Members.Last = maxMemberID
	full.ledger.Members.Free = []former[loader.MemberID, memberKey]{{ID: 2}}
	r.table.model.Store(full)
	if _, err := r.table.Apply(bg, settings(serving("b1", "b5"))); err == nil {
		t.Errorf("members are %v: the one id that is taken was given to another", r.dp.members)
	}
}

func TestLostRecordsComeBack(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.allUp()
	before := r.view()
	delete(r.dp.members, 2)
	delete(r.dp.services, 1)
	delete(r.dp.rings, 1)
	delete(r.dp.published, vip)
	r.table.unsure = true
	r.apply(serving("b1", "b2"))
	if after := r.view(); after.Rings[vip.String()] != before.Rings[vip.String()] || len(r.dp.members) != 2 {
		t.Errorf("is %+v with %v, was %+v", after, r.dp.members, before)
	}
}

func TestRepairThatFailsIsTriedAgain(t *testing.T) {
	r := leftBehind(t)
	for _, call := range []string{"Services ", "Members ", "MemberCounters "} {
		r.dp.fault = func(c string) error {
			if c == call {
				return errInjected
			}
			return nil
		}
		if _, err := r.table.Apply(bg, settings(serving("b1"))); err == nil || !r.table.unsure {
			t.Errorf("%s failed and nobody said so", call)
		}
	}
	r.dp.fault = nil
	r.apply(serving("b1"))
	if r.table.unsure {
		t.Error("it is still unsure")
	}
}
