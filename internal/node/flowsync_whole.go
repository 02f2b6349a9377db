package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sluice/internal/config"
	"sluice/internal/control"
	"sluice/steering/flowsync"
	"sluice/vip"
)

// tellingMost is for how long peers that are connected are waited for which tell what
// they have: millions of flows take half of it. After that packets of unknown flows
// are answered all the same, and an alarm says that somebody tells nothing.
const tellingMost = time.Minute

// settleUnknown has packets of unknown flows answered by resets while this gateway
// has the flows of all virtual clusters: else one may be on its way here. Of those it
// is active for it has them when it is whole, which takes ten seconds where nobody is
// there who could tell it more. f.mu is held.
func (f *flowSync) settleUnknown(n *node, clusters []flowsync.ClusterStatus, now time.Time) {
	known := known(clusters, now)
	if f.knowing == known && f.told {
		return
	}
	if err := f.engine.ResetUnknown(known); err != nil {
		n.log.Error("unknown flows", "error", err)
		return
	}
	f.knowing, f.told = known, true
}

// known says that no flow of a cluster may be on its way here.
func known(clusters []flowsync.ClusterStatus, now time.Time) bool {
	for _, c := range clusters {
		if !c.Synced || !c.Whole && !late(c, now) {
			return false
		}
	}
	return true
}

// late says that an active gateway is not whole for longer than telling takes.
func late(c flowsync.ClusterStatus, now time.Time) bool {
	return !c.Whole && now.Sub(c.Since) >= tellingMost
}

// lateAlarm names the clusters whose flows somebody does not tell, nil for none.
func lateAlarm(clusters []flowsync.ClusterStatus, now time.Time) *control.Alarm {
	var texts []string
	for _, c := range clusters {
		if c.Active && late(c, now) {
			texts = append(texts, fmt.Sprintf("this gateway took over virtual cluster %q without all flows, and %s does not tell those it has", c.Name, strings.Join(c.Asked, ", ")))
		}
	}
	if texts == nil {
		return nil
	}
	return &control.Alarm{
		Severity: warning, Subject: "flow sync", Text: strings.Join(texts, "; "),
		Hint: "look for \"flow sync\" in the log there, and restart sluice there once its connections may end: what it alone has is lost then",
	}
}

// leaveMost is for how long a node that ends for good waits for the next gateway.
const leaveMost = 2 * time.Second

// leave waits until other gateways that are there have taken over, and have all flows:
// the vip process has given the VIPs up before.
func (f *flowSync) leave(ctx context.Context) {
	f.mu.Lock()
	s := f.sync
	f.mu.Unlock()
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leaveMost)
	defer cancel()
	s.Leave(ctx)
}

// synced says whether the flows of the active gateway are here. Where nothing is
// synced there is nothing to wait for.
func (n *node) synced(c config.VirtualCluster) bool {
	if len(c.Peers) == 0 || !c.Heartbeat.Enabled() || n.idle() {
		return true
	}
	n.flows.mu.Lock()
	s := n.flows.sync
	n.flows.mu.Unlock()
	return s != nil && s.Synced(c.Name)
}

// streamed is when flows of a cluster were last heard of a gateway whose snapshot is
// not applied yet, in CLOCK_MONOTONIC; 0 for no such.
func (n *node) streamed(c config.VirtualCluster) time.Duration {
	n.flows.mu.Lock()
	s := n.flows.sync
	n.flows.mu.Unlock()
	if s == nil {
		return 0
	}
	heard, coming := s.Coming(c.Name)
	if !coming {
		return 0
	}
	return vip.Monotonic() - time.Since(heard)
}

// terms are the highest that flow sync knows, by cluster.
func (n *node) terms() map[string]uint64 {
	n.flows.mu.Lock()
	s := n.flows.sync
	n.flows.mu.Unlock()
	if s == nil {
		return nil
	}
	terms := map[string]uint64{}
	for _, c := range s.Status().Clusters {
		terms[c.Name] = c.Term
	}
	return terms
}
