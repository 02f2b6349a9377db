package node

import (
	"strings"
	"testing"
	"time"

	"sluice/internal/control"
	"sluice/steering/flowsync"
)

// Unknown flows are answered where all flows are here of every cluster, or were not
// told for too long, which an alarm says.
func TestUnknownFlowsWait(t *testing.T) {
	now := time.Now()
	cluster := func(active, synced, whole bool, age time.Duration) flowsync.ClusterStatus {
		return flowsync.ClusterStatus{Name: "edge", Active: active, Synced: synced, Whole: whole, Since: now.Add(-age), Asked: []string{"gw-b"}}
	}
	well := cluster(true, true, true, time.Hour)
	for name, test := range map[string]struct {
		also           flowsync.ClusterStatus
		known, alarmed bool
	}{
		"all well":                 {well, true, false},
		"backup with all":          {cluster(false, true, true, 0), true, false},
		"backup without":           {cluster(false, false, true, 0), false, false},
		"active without, just now": {cluster(true, true, false, time.Second), false, false},
		"active without, long":     {cluster(true, true, false, tellingMost), true, true},
	} {
		list := []flowsync.ClusterStatus{well, test.also}
		if got := known(list, now); got != test.known {
			t.Errorf("%s: known %t", name, got)
		}
		alarm := lateAlarm(list, now)
		if (alarm != nil) != test.alarmed || alarm != nil && !strings.Contains(alarm.Text, "gw-b does not tell") {
			t.Errorf("%s: alarm %+v", name, alarm)
		}
	}
}

// What is shown of an active gateway that lacks flows is not that it is synced.
func TestNotWholeIsShown(t *testing.T) {
	peer := flowsync.PeerStatus{Name: "gw-b", Send: flowsync.SendStatus{Connected: true, Clusters: []flowsync.SendCluster{{Name: "edge", Complete: true}}}}
	for whole, want := range map[bool]string{true: "synced", false: "not whole"} {
		s := flowsync.Status{Clusters: []flowsync.ClusterStatus{{Name: "edge", Active: true, Whole: whole}}}
		var got control.FlowSync
		if got, _ = sending(peer, s, "edge"); got.State != want {
			t.Errorf("whole %t is shown as %q", whole, got.State)
		}
	}
}
