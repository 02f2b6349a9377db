package flowsync

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"
)

// Status is what is shown of flow sync.
type Status struct {
	// Peers and Clusters are sorted by name.
	Peers    []PeerStatus
	Clusters []ClusterStatus
	// Listening says why a listener is not there, nil if all are.
	Listening []string
}

// PeerStatus is one peer in both directions.
type PeerStatus struct {
	Name    string
	Send    SendStatus
	Receive ReceiveStatus
}

// SendStatus is the connection by which a peer gets our flows.
type SendStatus struct {
	Connected bool
	// Since is when it connected, or stopped being so.
	Since time.Time
	// Error is why it is not connected.
	Error    string
	Clusters []SendCluster
	// Flows and Gone count what was told, Connects the connections, Snapshots those
	// begun, Overflows the times when more changed than could wait. They only grow.
	Flows, Gone                    uint64
	Connects, Snapshots, Overflows uint64
	// Waiting are changes that are not sent yet.
	Waiting int
	// Lag is the age of the oldest thing the peer has not acknowledged, RTT how
	// long an acknowledgement took; 0 for none.
	Lag, RTT time.Duration
}

// SendCluster is a cluster that we are active for.
type SendCluster struct {
	Name string
	Term uint64
	// Refused is why the peer takes nothing, empty if it does, and Theirs the term
	// it knows.
	Refused string
	Theirs  uint64
	// Complete says that a snapshot was sent; Sent counts its flows so far.
	Complete bool
	Sent     int
}

// ReceiveStatus is the connection by which a peer tells its flows.
type ReceiveStatus struct {
	Connected bool
	Since     time.Time
	// Error is why the last one ended.
	Error          string
	Clusters       []ReceiveCluster
	Flows, Removed uint64
	// Lag is how far behind we may be.
	Lag time.Duration
}

// ReceiveCluster is a cluster that a peer is active for.
type ReceiveCluster struct {
	Name string
	Term uint64
	// Refused is why we take nothing, empty if we do.
	Refused string
	// Applied says that a snapshot was applied; Flows is how many it named so far.
	Applied bool
	Flows   int
	// Skipped counts flows that were not imported since the snapshot began.
	Skipped map[Skip]int
}

// ClusterStatus is what is known of a cluster's flows here.
type ClusterStatus struct {
	Name   string
	Active bool
	// Term is the highest known, From whose flows are taken in it.
	Term uint64
	From string
	// Synced says that this gateway has the flows: it is active, or has applied a
	// snapshot and is less than a second behind. While nobody is active it is false.
	Synced bool
	Lag    time.Duration
	// Whole says of the active gateway that it lacks no flows of former terms that
	// somebody could tell: it had them when it became active, was told them since, or
	// nobody who might have them was there for ten seconds. It is true where another
	// gateway is active. Since is when this one became so, Asked are those connected
	// that have not told yet what they have.
	Whole bool
	Since time.Time
	Asked []string
}

// Status returns what is now.
func (s *Sync) Status() Status {
	now := time.Now()
	st := Status{Clusters: s.clusters(now)}
	for _, p := range s.peers {
		st.Peers = append(st.Peers, PeerStatus{Name: p.Name, Send: p.status(now), Receive: s.received(p.Name, now)})
	}
	slices.SortFunc(st.Peers, func(a, b PeerStatus) int { return cmp.Compare(a.Name, b.Name) })
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(s.errors)) {
		st.Listening = append(st.Listening, s.errors[n])
	}
	return st
}

// Synced says whether this gateway has the flows of a cluster, as in
// [ClusterStatus].
func (s *Sync) Synced(cluster string) bool {
	return slices.ContainsFunc(s.clusters(time.Now()), func(c ClusterStatus) bool { return c.Name == cluster && c.Synced })
}

func (p *peer) status(now time.Time) SendStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := SendStatus{
		Connected: p.stats.connected, Since: p.stats.since, Error: p.stats.err,
		Flows: p.stats.flows, Gone: p.stats.gone, Connects: p.stats.connects, Snapshots: p.stats.resyncs,
		Overflows: p.stats.overflow, Waiting: len(p.changes), Lag: p.lag(now), RTT: p.stats.rtt,
	}
	for _, name := range slices.Sorted(maps.Keys(p.offers)) {
		o := p.offers[name]
		c := SendCluster{Name: name, Term: o.Term, Theirs: o.theirs, Complete: o.complete, Sent: o.sent}
		if o.refused != 0 {
			c.Refused = o.refused.String()
		}
		st.Clusters = append(st.Clusters, c)
	}
	return st
}

func (s *Sync) received(name string, now time.Time) ReceiveStatus {
	s.roles.mu.Lock()
	defer s.roles.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.inbound[name]
	if in == nil {
		return ReceiveStatus{}
	}
	st := ReceiveStatus{
		Connected: !in.stats.ended, Since: in.stats.since, Error: in.stats.err,
		Flows: in.stats.flows, Removed: in.stats.removed, Lag: in.stats.lag(now),
	}
	for _, o := range in.offers {
		c := ReceiveCluster{Name: o.Name, Term: o.Term, Applied: o.applied, Flows: o.flows, Skipped: maps.Clone(o.skipped)}
		if o.refused != 0 {
			c.Refused = o.refused.String()
		}
		st.Clusters = append(st.Clusters, c)
	}
	slices.SortFunc(st.Clusters, func(a, b ReceiveCluster) int { return cmp.Compare(a.Name, b.Name) })
	return st
}

// lag is what the peer told, and the silence since.
func (r *receiveStats) lag(now time.Time) time.Duration { return r.told + now.Sub(r.heard) }

func (s *Sync) clusters(now time.Time) []ClusterStatus {
	s.roles.mu.Lock()
	defer s.roles.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.roles.view.Load()
	var list []ClusterStatus
	for _, name := range slices.Sorted(maps.Keys(v.clusters)) {
		c, f := v.clusters[name], s.roles.fences[name]
		st := ClusterStatus{Name: name, Active: c.Active, Term: f.term, Synced: c.Active, Whole: true}
		if c.Active && f.lacks != none {
			st.Since, st.Asked = f.since, s.asked(c, f)
			st.Whole = len(st.Asked) == 0 && now.Sub(f.since) >= askTime
		}
		if in := f.holder; in != nil {
			st.From, st.Lag = in.name, in.stats.lag(now)
			st.Synced = in.has(name, f.term) && st.Lag < syncedLag
		}
		list = append(list, st)
	}
	return list
}

// has says that a snapshot of a cluster was applied. mu of the roles must be
// held.
func (in *inbound) has(name string, term uint64) bool {
	for _, o := range in.offers {
		if o.Name == name {
			return o.applied && o.Term == term && o.refused == 0
		}
	}
	return false
}

// watch tells when a copy becomes complete and fresh, and when it no longer is.
func (s *Sync) watch(ctx context.Context) {
	tick := time.NewTicker(aliveEach)
	defer tick.Stop()
	synced := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, c := range s.clusters(time.Now()) {
			switch {
			case c.Active:
				delete(synced, c.Name)
			case c.Synced && !synced[c.Name]:
				synced[c.Name] = true
				s.tell(EventSynced, c.From, c.Name, "")
			case !c.Synced && synced[c.Name]:
				delete(synced, c.Name)
				s.tell(EventUnsynced, c.From, c.Name, "it is incomplete or more than a second behind")
			}
		}
	}
}
