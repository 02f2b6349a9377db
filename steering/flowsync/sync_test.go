package flowsync

import (
	"testing"
	"time"
)

func TestSnapshotThenChanges(t *testing.T) {
	pair(t, func(r *rig, a, b *node) {
		a.table.put(flows(0, 3000)...)
		b.table.put(flow(9000, 1)) // an old table
		settle(time.Second)
		r.same(a, b)
		if !b.sync.Synced("edge") || !b.saw(EventSynced) {
			t.Errorf("not synced: %+v", b.sync.Status())
		}
		a.put(flow(5000, 2), flow(3, 5))
		a.drop(key(4))
		settle(50 * time.Millisecond)
		r.same(a, b)
		if lag := a.send(b).Lag; lag > 2*flushEach {
			t.Errorf("lag is %v", lag)
		}
	})
}
