package election

import (
	"testing"
	"time"
)

// TestDecisionTable is the rule for a pair, row by row: whether the heartbeat and
// the adverts come through, and how the pings of backup and active node fare.
func TestDecisionTable(t *testing.T) {
	tests := []struct {
		name                 string
		beat, lan            bool
		backupOK, activeOK   bool
		want                 string // of the active node and the backup
		alarmActive, alarmBk string
		dual                 bool
	}{
		{"all well", true, true, true, true, "active backup", "", "", false},
		{"segment split", true, false, true, true, "active backup", "", "segment_split", false},
		{"active fails, adverts heard", true, true, true, false, "backup active", "ping", "", false},
		{"active fails, adverts lost", true, false, true, false, "backup active", "ping", "", false},
		{"backup fails", true, true, false, true, "active backup", "", "ping", false},
		{"common outage", true, true, false, false, "active backup", "ping", "ping", false},
		{"common outage, adverts lost", true, false, false, false, "active backup", "ping", "segment_split", false},
		{"heartbeat link", false, true, true, true, "active backup", "heartbeat_link", "heartbeat_link", false},
		{"heartbeat link, backup fails", false, true, false, true, "active backup", "heartbeat_link", "isolated", false},
		{"heartbeat link, one item of the active fails", false, true, true, false, "backup active", "heartbeat_link", "heartbeat_link", false},
		{"both links, both ping", false, false, true, true, "active active", "heartbeat_link", "heartbeat_link", true},
		{"both links, backup isolated", false, false, false, true, "active backup", "heartbeat_link", "isolated", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for seed := range uint64(10) {
				w := newWorld(t, setup{nodes: 2, seed: seed, beats: true, pings: true})
				w.run(2 * time.Second)
				w.want("active backup")
				w.dualOK = test.dual
				if !test.beat {
					w.cutBeat(0, 1)
					w.cutBeat(1, 0)
				}
				if !test.lan {
					w.cutLAN(0, 1)
					w.cutLAN(1, 0)
				}
				segs := w.segs
				if !test.beat && !test.activeOK {
					segs = 1 // with all items failed it is isolated, which has a test of its own
				}
				for s := range segs {
					w.unreached[[2]int{0, s}] = !test.activeOK
				}
				for s := range w.segs {
					w.unreached[[2]int{1, s}] = !test.backupOK
				}
				w.run(10 * time.Second)
				w.want(test.want)
				w.wantAlarm(0, test.alarmActive)
				w.wantAlarm(1, test.alarmBk)
				if changes := len(w.nodes[0].changes); changes > 3 {
					w.fail("the active node changed %d times", changes)
				}
			}
		})
	}
}

func (w *world) wantAlarm(i int, name string) {
	w.t.Helper()
	alarms := w.nodes[i].m.Alarms()
	for _, a := range alarms {
		if a.Name == name {
			return
		}
	}
	if name != "" || len(alarms) > 0 {
		w.fail("alarms of node %d are %+v, want %q", i, alarms, name)
	}
}

// TestIsolated: the active node is cut off from everything, the backup from it
// alone. The words of the one are closed before those of the other are opened.
func TestIsolated(t *testing.T) {
	for seed := range uint64(50) {
		w := newWorld(t, setup{nodes: 2, seed: seed, beats: true, pings: true})
		w.run(2*time.Second + w.jitter()*50)
		w.isolate(0)
		w.run(5 * time.Second)
		w.want("backup active")
		w.heal()
		w.run(20 * time.Second)
		w.want("backup active")
	}
}

func (w *world) isolate(i int) {
	for j := range w.nodes {
		if j != i {
			w.cutBeat(i, j)
			w.cutBeat(j, i)
			w.cutLAN(i, j)
			w.cutLAN(j, i)
		}
	}
	for s := range w.segs {
		w.unreached[[2]int{i, s}] = true
	}
}

// TestSplit is the case that two nodes cannot tell from a dead peer. It ends with
// the heal: one advert later one is active, and the winner says so again.
func TestSplit(t *testing.T) {
	for seed := range uint64(50) {
		w := newWorld(t, setup{nodes: 2, seed: seed, beats: true, pings: true})
		w.dualOK = true
		w.run(2 * time.Second)
		w.cutBeat(0, 1)
		w.cutBeat(1, 0)
		w.cutLAN(0, 1)
		w.cutLAN(1, 0)
		w.run(3 * time.Second)
		w.want("active active")
		w.heal()
		announced := w.nodes[0].announce
		w.run(110 * time.Millisecond)
		w.want("active backup")
		if w.nodes[0].announce == announced || w.nodes[0].stills != 1 {
			w.fail("the winner announced %d times and told %d times that it still is", w.nodes[0].announce-announced, w.nodes[0].stills)
		}
		if a, b := w.nodes[0].m.Term(), w.nodes[1].m.Term(); a < 3 || a < b {
			w.fail("the winner's term %d is not the newest (%d)", a, b)
		}
	}
}

// TestOneWay: frames pass one way only.
func TestOneWay(t *testing.T) {
	for _, test := range []struct {
		name       string
		beat, lan  bool
		from, to   int
		want       string
		alarm      string
		alarmedAt  int
		dual       bool
		afterwards string
	}{
		{"adverts to the backup", false, true, 0, 1, "active backup", "segment_split", 1, false, "active backup"},
		{"adverts from the backup", false, true, 1, 0, "active backup", "", 0, false, "active backup"},
		{"heartbeats to the backup", true, false, 0, 1, "active backup", "asymmetric", 0, false, "active backup"},
		{"heartbeats from the backup", true, false, 1, 0, "active backup", "asymmetric", 1, false, "active backup"},
		// Both ways to the backup: it cannot know, takes over, and the other one,
		// which hears that it is not heard, gives way.
		{"everything to the backup", true, true, 0, 1, "backup active", "asymmetric", 0, true, "backup active"},
		{"everything from the backup", true, true, 1, 0, "active backup", "asymmetric", 1, false, "active backup"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, setup{nodes: 2, beats: true, pings: true})
			w.dualOK = test.dual
			w.run(2 * time.Second)
			if test.beat {
				w.cutBeat(test.from, test.to)
			}
			if test.lan {
				w.cutLAN(test.from, test.to)
			}
			w.run(5 * time.Second)
			w.want(test.want)
			w.wantAlarm(test.alarmedAt, test.alarm)
			w.heal()
			w.run(10 * time.Second)
			w.want(test.afterwards)
		})
	}
}
