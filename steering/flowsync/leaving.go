package flowsync

import (
	"context"
	"time"
)

// lookEach is how often is looked whether others have taken over: what belongs to an
// offer comes with it, and so in less.
const lookEach = flushEach

// Leave waits until every cluster of which a peer is connected is another gateway's
// that has all flows or was told them, or until ctx ends: who ends before loses what
// it alone has. It is for a gateway that gave its clusters up and is about to end.
func (s *Sync) Leave(ctx context.Context) {
	look := time.NewTicker(lookEach)
	defer look.Stop()
	for seen := 0; seen < 2; {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
		if seen++; !s.handedOver() {
			seen = 0
		}
	}
}

func (s *Sync) handedOver() bool {
	s.roles.mu.Lock()
	defer s.roles.mu.Unlock()
	for name, c := range s.roles.view.Load().clusters {
		there, taken := false, false
		for _, g := range c.Gateways {
			in := s.connection(g)
			there = there || in != nil
			taken = taken || in != nil && s.roles.hasAll(in, name)
		}
		if there && !taken {
			return false
		}
	}
	return true
}

// connection is the one by which a peer tells its flows, nil for none.
func (s *Sync) connection(peer string) *inbound {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in := s.inbound[peer]; in != nil && !in.stats.ended {
		return in
	}
	return nil
}

// hasAll says that a peer is active for a cluster after this gateway, and is owed
// nothing. mu must be held.
func (r *roles) hasAll(in *inbound, name string) bool {
	f := r.fences[name]
	for _, o := range in.offers {
		if o.Name == name && o.tell == nil && o.Term >= f.term && o.Term > f.active {
			return r.unpaid(in.name, name, o.Term) == nil
		}
	}
	return false
}
