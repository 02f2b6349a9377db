package flowsync

import (
	"context"
	"testing"
	"time"
)

// leave lets a gateway leave, as one that has ten seconds for it, and returns for how
// long it stayed.
func (r *rig) leave(n *node) time.Duration {
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	n.sync.Leave(ctx)
	return time.Since(began)
}

// Who leaves tells first what the next one lacks.
func TestLeaveTellsBack(t *testing.T) {
	late(t, func(r *rig, a, b *node) {
		r.net.sever(a.addr, b.addr, false)
		for a.sync.connection(b.name) == nil {
			settle(time.Millisecond)
		}
		if took := r.leave(a); took >= 10*time.Second {
			t.Error("it left because its time was up")
		}
		a.stop()
		a.stop = func() {}
		settle(time.Second)
		if got := b.cluster(); !got.Whole || b.table.len() != 1001 {
			t.Errorf("%d flows are there: %+v", b.table.len(), got)
		}
	})
}

// Who has all flows is waited for until it has taken over, and no longer; nobody is
// waited for who is not there.
func TestLeaveWaitsForWhoIsThere(t *testing.T) {
	pair(t, func(r *rig, a, b *node) {
		a.put(flows(0, 100)...)
		settle(time.Second)
		if took := r.leave(a); took < 10*time.Second {
			t.Errorf("it left after %v though nobody took over", took)
		}
		r.role(b, true, 2)
		if took := r.leave(a); took > 300*time.Millisecond {
			t.Errorf("it stayed for %v though the next one has all", took)
		}
		r.net.sever(a.addr, b.addr, true)
		settle(2 * dead)
		if took := r.leave(a); took > 300*time.Millisecond {
			t.Errorf("it stayed for %v though nobody is there", took)
		}
	})
}
