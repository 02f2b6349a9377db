package node

import (
	"context"
	"sync"
	"time"

	"sluice/vip"
)

// rolesKnown are the roles that were told last.
type rolesKnown struct {
	mu   sync.Mutex
	list []vip.Role
}

func (r *rolesKnown) get() []vip.Role {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list
}

func (r *rolesKnown) set(list []vip.Role) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = list
}

// followRoles asks the vip process, which answers when roles change. While it is
// away the last ones hold: owner words close by themselves.
func (n *node) followRoles(ctx context.Context, known *rolesKnown, changed chan<- struct{}) {
	number := uint64(0)
	for ctx.Err() == nil {
		now := n.running.Load()
		if now == nil || !hasClusters(now.settings) {
			known.set(nil)
			pause(ctx, time.Second)
			continue
		}
		roles, err := n.roles.Roles(ctx, number)
		if err != nil {
			number = 0
			pause(ctx, 200*time.Millisecond)
			continue
		}
		if roles.Number == number {
			continue
		}
		number = roles.Number
		known.set(roles.List)
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	n.roles.Close()
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
