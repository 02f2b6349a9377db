package steering

import (
	"time"

	"sluice/loader"
)

// loadPeriod is how old the loads may be that select: connections goes by.
const loadPeriod = 100 * time.Millisecond

// tellLoads tells the dataplane how many flows the members have, where anybody
// wants to know.
func (t *Table) tellLoads() error {
	m := t.model.Load()
	if !m.choosing() {
		return nil
	}
	m, now, err := t.counted()
	if err != nil {
		return err
	}
	loads := map[loader.MemberID]loader.Load{}
	for id, mem := range m.members {
		if weight := m.weight(mem); m.services[mem.record.Service].record.TwoChoices && weight > 0 {
			loads[id] = loader.Load{Flows: now.flowsNow(id), Weight: uint32(weight)}
		}
	}
	return t.dp.SetLoads(loads)
}

// choosing reports whether any service takes the less loaded of two choices.
func (m *model) choosing() bool {
	for _, id := range m.order {
		if m.services[id].record.TwoChoices {
			return true
		}
	}
	return false
}
