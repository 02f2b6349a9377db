package steering

import (
	"fmt"
	"sync"
	"time"

	"sluice/loader"
)

// resets are the members whose flows are to be ended once, with when that was
// asked for: what was opened later is not meant.
type resets struct {
	mu  sync.Mutex
	ids map[loader.MemberID]time.Duration
}

func (r *resets) add(ids map[loader.MemberID]bool, now time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids == nil {
		r.ids = map[loader.MemberID]time.Duration{}
	}
	for id := range ids {
		r.ids[id] = now
	}
}

// due returns what was asked for before a sweep began.
func (r *resets) due(begun time.Duration) map[loader.MemberID]time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	due := map[loader.MemberID]time.Duration{}
	for id, asked := range r.ids {
		if asked <= begun {
			due[id] = asked
		}
	}
	return due
}

// done forgets what is asked for no later than it was when it became due.
func (r *resets) done(id loader.MemberID, asked time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids[id] <= asked {
		delete(r.ids, id)
	}
}

// never is later than any flow was opened.
const never = time.Duration(1<<63 - 1)

// doomed returns the members whose flows are to end, each with the last moment
// of opening that is meant:
//
//   - of a backend whose drain is past its deadline;
//   - of a backend that went down where the settings say reset;
//   - of a service that another mode took the address from: no packet reaches
//     these flows any more, and the backend shall know;
//   - without a record, which a change leaves that was taken back after the
//     first packets.
func (t *Table) doomed(m *model, x *index) map[loader.MemberID]time.Duration {
	ends := t.resets.due(x.begun)
	now := t.opt.now()
	for id := range x.members {
		mem, known := m.members[id]
		o := m.backends[mem.record.Addr].order
		overdue := o.State == StateDraining && !o.Deadline.IsZero() && !now.Before(o.Deadline)
		if !known || overdue || m.services[mem.record.Service].phase == phaseReplaced {
			ends[id] = never
		}
	}
	return ends
}

// endFlows makes the dataplane reset the flows that are to end.
func (t *Table) endFlows(x *index) error {
	doomed := t.doomed(t.model.Load(), x)
	if len(doomed) == 0 {
		return nil
	}
	var flows []loader.Flow
	left := map[loader.MemberID]bool{}
	for _, chunk := range x.chunks {
		for i := range chunk {
			e := &chunk[i]
			if until, ends := doomed[e.member]; ends && e.opened <= until && e.state < loader.FlowClosed {
				flows = append(flows, e.flow())
				left[e.member] = true
			}
		}
	}
	for id, asked := range doomed {
		if asked != never && !left[id] {
			t.resets.done(id, asked)
		}
	}
	if len(flows) == 0 {
		return nil
	}
	killed, err := t.dp.Kill(flows)
	if err != nil {
		return fmt.Errorf("end %d flows: %w", len(flows), err)
	}
	if killed > 0 {
		t.log.Info("flows ended", "flows", killed)
		t.poke() // to see that none is left
	}
	return nil
}
