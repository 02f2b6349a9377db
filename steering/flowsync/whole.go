package flowsync

import (
	"slices"
	"time"
)

// askTime is how long whoever became active waits for gateways that are not
// connected: one that lives and can be reached dials again in less.
const askTime = 10 * time.Second

// asked are the gateways that are connected and may tell what is missing here. mu of
// the roles and of the Sync must be held.
func (s *Sync) asked(c *Cluster, f *fence) (list []string) {
	for _, g := range c.Gateways {
		if in := s.inbound[g]; in != nil && !in.stats.ended && in.tells && !f.told[g] {
			list = append(list, g)
		}
	}
	slices.Sort(list)
	return list
}

// copied names the gateway of whose flows the copy here is complete and fresh, ""
// for none. mu of the roles must be held.
func (s *Sync) copied(name string, f *fence) string {
	if f.parted != "" {
		return f.parted
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.holder != nil && f.holder.has(name, f.term) && f.holder.stats.lag(time.Now()) < syncedLag {
		return f.holder.name
	}
	return ""
}

// Coming says when a gateway that is active for a cluster was last heard, whose
// flows are taken and not all here yet.
func (s *Sync) Coming(cluster string) (heard time.Time, coming bool) {
	s.roles.mu.Lock()
	defer s.roles.mu.Unlock()
	f, c := s.roles.fences[cluster], s.roles.view.Load().clusters[cluster]
	if f == nil || c.Active || f.holder == nil || f.holder.over || f.holder.has(cluster, f.term) {
		return time.Time{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return f.holder.stats.heard, true
}
