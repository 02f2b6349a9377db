package node

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/control"
)

func TestNotes(t *testing.T) {
	var n notes
	if len(n.list()) != 0 {
		t.Fatal("alarms out of nothing")
	}
	n.set("file", fileAlarm(errors.New("line 3 is bad")))
	n.set("none", interfaceAlarm(nil))
	n.set("store", storeAlarms([]string{"generation 2 is damaged", "generation 1 runs instead"}))
	var subjects []string
	for _, a := range n.list() {
		subjects = append(subjects, a.Severity+" "+a.Subject)
		if a.Text == "" || a.Hint == "" || time.Since(a.Since) > time.Minute {
			t.Errorf("alarm %+v", a)
		}
	}
	if diff := cmp.Diff([]string{"critical settings store", "warning settings file"}, subjects); diff != "" {
		t.Error(diff)
	}
	n.set("store", nil)
	n.set("store", storeAlarms(nil))
	if left := n.list(); len(left) != 1 || left[0].Subject != "settings file" {
		t.Errorf("left %+v", left)
	}
}

// An alarm that is raised again is as old as it was.
func TestNotesKeepTheirAge(t *testing.T) {
	var n notes
	n.set("file", fileAlarm(errors.New("a")))
	first := n.list()[0].Since
	n.set("file", conflictAlarm(7))
	again := n.list()[0]
	if !again.Since.Equal(first) || again.Text == "not taken: a" {
		t.Errorf("alarm %+v, first raised %v", again, first)
	}
}

func TestWorstFirst(t *testing.T) {
	now := time.Now()
	a := control.Alarm{Severity: critical, Since: now}
	b := control.Alarm{Severity: warning, Since: now.Add(-time.Hour)}
	if worstFirst(a, b) >= 0 || worstFirst(b, a) <= 0 || worstFirst(a, a) != 0 {
		t.Error("severity comes before age")
	}
}
