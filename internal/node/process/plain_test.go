package process

import (
	"os/exec"
	"strings"
	"testing"

	"sluice/internal/nettest"
)

// A command of an operator gets nothing of what a vip process has.
func TestStartPlain(t *testing.T) {
	nettest.Require(t, nettest.Root)
	uid, gid := nobody(t)
	text := outputUnder(t, confinement{caps: VIPCaps, uid: uid, gid: gid, rank: rankUrgent}, "plain")
	schedules, status, _ := strings.Cut(text, "Name:")
	lines := strings.Fields(strings.ReplaceAll(schedules, ownSchedule(t).String(), "plain"))
	if len(lines) < 2 {
		t.Fatalf("threads: %q", schedules)
	}
	for _, line := range lines {
		if line != "plain" {
			t.Errorf("threads: %q", schedules)
			break
		}
	}
	s, err := parseStatus("Name:" + status)
	if err != nil || s.Effective != 0 || s.Permitted != 0 || s.Ambient != 0 || s.UID != uid || !s.NoNewPrivs {
		t.Errorf("rights %+v, %v", s, err)
	}
}

func TestStartPlainOfNothing(t *testing.T) {
	if err := StartPlain(exec.Command("/nonexistent/notify")); err == nil || !strings.Contains(err.Error(), "/nonexistent/notify") {
		t.Errorf("started: %v", err)
	}
}
