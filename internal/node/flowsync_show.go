package node

import (
	"slices"

	"sluice/internal/control"
	"sluice/steering/flowsync"
)

// addSync adds what flow sync knows to what is shown of virtual clusters.
func (n *node) addSync(list []control.VirtualCluster) {
	n.flows.mu.Lock()
	s := n.flows.sync
	n.flows.mu.Unlock()
	if s == nil {
		return
	}
	status := s.Status()
	for i := range list {
		c := &list[i]
		for _, p := range status.Peers {
			if one, ok := sending(p, status, c.Name); ok {
				c.Sync = append(c.Sync, one)
			}
			if one, ok := receiving(p, status, c.Name); ok {
				c.Sync = append(c.Sync, one)
			}
		}
	}
}

func sending(p flowsync.PeerStatus, s flowsync.Status, cluster string) (control.FlowSync, bool) {
	for _, c := range p.Send.Clusters {
		if c.Name != cluster {
			continue
		}
		one := control.FlowSync{
			Peer: p.Name, Direction: "out", State: "snapshot", Lag: control.Seconds(p.Send.Lag),
			Flows: p.Send.Flows, Resyncs: resyncs(p.Send.Snapshots),
		}
		switch {
		case !p.Send.Connected:
			one.State = "connecting"
		case c.Refused != "":
			one.State = "refused"
		case lacking(s, cluster):
			one.State = notWhole
		case c.Complete:
			one.State = "synced"
		}
		return one, true
	}
	return control.FlowSync{}, false
}

// notWhole is the state of a cluster whose active gateway took over without all
// flows, until it was told them.
const notWhole = "not whole"

// lacking says that this gateway is active and not whole.
func lacking(s flowsync.Status, cluster string) bool {
	return slices.ContainsFunc(s.Clusters, func(c flowsync.ClusterStatus) bool { return c.Name == cluster && c.Active && !c.Whole })
}

func receiving(p flowsync.PeerStatus, s flowsync.Status, cluster string) (control.FlowSync, bool) {
	for _, c := range s.Clusters {
		if c.Name != cluster || c.Active || c.From != p.Name {
			continue
		}
		one := control.FlowSync{Peer: p.Name, Direction: "in", State: "snapshot", Lag: control.Seconds(c.Lag), Flows: p.Receive.Flows}
		switch {
		case c.Synced:
			one.State = "synced"
		case !p.Receive.Connected:
			one.State = "connecting"
		}
		return one, true
	}
	return control.FlowSync{}, false
}

func resyncs(snapshots uint64) uint64 {
	if snapshots == 0 {
		return 0
	}
	return snapshots - 1
}
