package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sluice/internal/control"
)

// The fake node is active for one virtual cluster and backup for another, with
// two other gateways of which one is silent.

func (n *fakeNode) VirtualClusters(context.Context) ([]control.VirtualCluster, error) {
	defer n.ask("vips")()
	if !n.clustered {
		return nil, nil
	}
	vip := func(addr, on string) control.VIP {
		return control.VIP{Addr: netip.MustParsePrefix(addr), Interface: on, MAC: "00:00:5e:00:01:33", Owner: true}
	}
	edge := control.VirtualCluster{
		Name: "edge", VRID: 51, State: control.VIPActive, Since: epoch.Add(-time.Hour), Cause: "peer_silent", Reason: "nothing heard of gw-b for 312ms",
		Term: 7, Priority: control.Priority{Base: 150, Effective: 130}, Eligible: true, VIPs: []control.VIP{vip("192.0.2.3/32", "ext0"), vip("10.0.2.3/32", "int0")},
		Peers: []control.GatewayPeer{
			{Node: "gw-b", State: control.VIPBackup, Alive: true, HearsUs: true, Age: control.Seconds(20 * time.Millisecond), LossOut: 0.25, Synced: true},
			{Node: "gw-c", State: control.VIPActive, Age: control.Seconds(2 * time.Hour), LossIn: 1, LossOut: 1},
		},
		Sync: []control.FlowSync{
			{Peer: "gw-b", Direction: "out", State: "synced", Lag: control.Seconds(30 * time.Millisecond)},
			{Peer: "gw-c", Direction: "out", State: "connecting"},
		},
		Alarms: []control.ClusterAlarm{{Name: "peer_silent", Severity: "critical", Since: epoch, Text: "gw-c is silent", Hint: "look at its heartbeat link"}},
	}
	lab := control.VirtualCluster{
		Name: "lab", VRID: 52, State: control.VIPBackup, Since: epoch, Cause: "start", Reason: "gw-b is active", Priority: control.Priority{Base: 100, Effective: 100},
		VIPs: []control.VIP{vip("2001:db8::3/128", "ext0")}, Peers: []control.GatewayPeer{{Node: "gw-b", State: control.VIPActive, Alive: true}},
	}
	return []control.VirtualCluster{edge, lab}, nil
}

func (n *fakeNode) History(_ context.Context, q control.HistoryQuery) ([]control.StateChange, error) {
	defer n.ask("history %s", q.Values().Encode())()
	return []control.StateChange{
		{At: epoch.Add(-time.Hour + 312*time.Millisecond), Cluster: "edge", StateWas: control.VIPBackup, State: control.VIPActive, Term: 7, Cause: "peer_silent", Reason: "nothing heard of gw-b for 312ms"},
		{At: epoch.Add(-26 * time.Hour), Cluster: "edge", StateWas: control.VIPInit, State: control.VIPBackup, Term: 6, Cause: "start"},
	}, nil
}

// move changes places with gw-b.
func (n *fakeNode) move(o control.VIPOrder, state control.VIPState) ([]control.VIPChange, error) {
	var changes []control.VIPChange
	for _, name := range o.Clusters {
		if !slices.Contains([]string{"edge", "lab"}, name) {
			return nil, control.NewError(control.CodeNotFound, fmt.Sprintf("no virtual cluster %q", name), `"sluice show vips" lists them`)
		}
		change := control.VIPChange{Cluster: name, StateWas: control.VIPActive, State: state, Peer: "gw-b"}
		if name == "lab" {
			change.StateWas = control.VIPBackup
		}
		if o.For > 0 {
			end := epoch.Add(time.Duration(o.For))
			change.Until = &end
		}
		changes = append(changes, change)
	}
	if o.All && !o.Yes {
		return nil, control.NewError(control.CodeNoPeer, `virtual cluster "edge": no other gateway can take its VIPs`, "")
	}
	if o.All {
		changes = []control.VIPChange{{Cluster: "edge", StateWas: control.VIPActive, State: control.VIPBackup}}
	}
	return changes, nil
}

func (n *fakeNode) Swap(_ context.Context, o control.VIPOrder) ([]control.VIPChange, error) {
	defer n.ask("swap %v all=%t for=%v yes=%t", o.Clusters, o.All, time.Duration(o.For), o.Yes)()
	if slices.Contains(o.Clusters, "lab") {
		return n.move(o, control.VIPActive)
	}
	return n.move(o, control.VIPBackup)
}

func (n *fakeNode) Resign(_ context.Context, o control.VIPOrder) ([]control.VIPChange, error) {
	defer n.ask("resign %v all=%t for=%v yes=%t", o.Clusters, o.All, time.Duration(o.For), o.Yes)()
	return n.move(o, control.VIPBackup)
}

func (n *fakeNode) ExplainFail(_ context.Context, q control.FailQuestion) (control.FailExplanation, error) {
	defer n.ask("explain fail %s %s", q, q.Cluster)()
	x := control.FailExplanation{Kind: control.FailPing, Name: q.Name, Clusters: []control.FailOutcome{
		{Cluster: "edge", Now: "gw-a", Then: "gw-b", Why: []string{"gw-a loses 50 for the ping item on ext0", "gw-b is next with priority 100"}},
		{Cluster: "lab", Now: "gw-b", Then: "gw-b"},
	}}
	switch {
	case q.Name == "gw-z":
		return x, control.NewError(control.CodeNotFound, `no node, interface or pinged host "gw-z"`, `"sluice show vips --json" names them`)
	case strings.HasPrefix(q.Name, "gw-"):
		x.Kind, x.Clusters = control.FailNode, x.Clusters[:1]
		x.Clusters[0].Then = ""
	case q.Name == "hb0":
		x.Kind, x.Clusters = control.FailLink, nil
	}
	return x, nil
}
