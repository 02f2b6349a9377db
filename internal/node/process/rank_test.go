package process

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// scheduleUnder runs playUrgent with these capabilities and returns how each
// thread of what it started is scheduled.
func scheduleUnder(t *testing.T, caps CapSet) []string {
	t.Helper()
	nettest.Require(t, nettest.Root)
	text := outputUnder(t, confinement{caps: caps}, "urgent")
	return strings.Split(strings.TrimSpace(text), "\n")
}

// ownSchedule is how this test runs, which may be under nice.
func ownSchedule(t *testing.T) Schedule {
	t.Helper()
	s, err := ReadSchedule(0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestUrgentReachesEveryThread(t *testing.T) {
	lines := scheduleUnder(t, capSet(unix.CAP_SYS_NICE, unix.CAP_SETPCAP))
	if len(lines) < 2 {
		t.Fatalf("threads: %v", lines)
	}
	for _, line := range lines {
		if line != "real-time priority 10" {
			t.Errorf("a thread runs with %s", line)
		}
	}
}

// Without the right it is started all the same.
func TestUrgentWithoutTheRight(t *testing.T) {
	for _, line := range scheduleUnder(t, capSet(unix.CAP_SETPCAP)) {
		if line != ownSchedule(t).String() {
			t.Errorf("a thread runs with %s", line)
		}
	}
}

// Where real time is refused to those who may, as a control group does, a nice
// value is the next best, and the fault names what is missing.
func TestUrgentWithoutRealtime(t *testing.T) {
	nettest.Require(t, nettest.Root)
	type result struct {
		schedule Schedule
		err      error
	}
	got := make(chan result, 1)
	go onSpareThread(func() {
		rankUrgent.raiseBy(func() error { return errors.New("no share") })
		s, err := ReadSchedule(0)
		got <- result{s, err}
	})
	r := <-got
	if r.err != nil || r.schedule != (Schedule{Nice: urgentNice}) {
		t.Errorf("the thread runs with %v, %v", r.schedule, r.err)
	}
	for name, c := range map[string]struct {
		rank     rank
		schedule Schedule
		want     string
	}{
		"realtime": {rankUrgent, Schedule{Realtime: true, Priority: 10}, ""},
		"nice":     {rankUrgent, Schedule{Nice: -10}, "normal priority, nice -10"},
		"node":     {rankOrdinary, Schedule{}, ""},
	} {
		err := c.rank.fault(c.schedule)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadScheduleOfNobody(t *testing.T) {
	cmd := exec.Command("/bin/true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if s, err := ReadSchedule(cmd.Process.Pid); err == nil {
		t.Errorf("read as %v", s)
	}
}
