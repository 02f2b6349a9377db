package process

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// rank is how soon a process runs when it is due.
type rank int

const (
	// rankOrdinary is as everybody else.
	rankOrdinary rank = iota
	// rankUrgent is before everybody else: SCHED_RR, or where that is refused
	// (RT group scheduling gives a control group no share unless told to) a low
	// nice value.
	rankUrgent
)

const (
	// urgentPriority is low among real-time priorities: kernel threads that
	// move packets and watchdogs stay before us.
	urgentPriority = 10
	urgentNice     = -10
)

// raise gives the calling thread the rank. A child that it starts, and every
// thread of that, inherits it, because SCHED_RESET_ON_FORK is not set. Of a
// machine that refuses both ways the thread stays as it is: ReadSchedule shows it.
func (r rank) raise() { r.raiseBy(beRealtime) }

func (r rank) raiseBy(realtime func() error) {
	if r == rankUrgent && realtime() != nil {
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, urgentNice)
	}
}

func beRealtime() error {
	return unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_RR, Priority: urgentPriority}, 0)
}

// Schedule is how a process is scheduled.
type Schedule struct {
	// Realtime is SCHED_RR or SCHED_FIFO, of Priority 1 to 99.
	Realtime bool
	Priority int
	// Nice is -20 to 19, without meaning under Realtime.
	Nice int
}

// ReadSchedule asks how the first thread of a process is scheduled; pid 0 is
// the calling thread.
func ReadSchedule(pid int) (Schedule, error) {
	attr, err := unix.SchedGetAttr(pid, 0)
	if err != nil {
		return Schedule{}, fmt.Errorf("read scheduling of process %d: %v", pid, err)
	}
	realtime := attr.Policy == unix.SCHED_RR || attr.Policy == unix.SCHED_FIFO
	return Schedule{Realtime: realtime, Priority: int(attr.Priority), Nice: int(attr.Nice)}, nil
}

// String names it as chrt and nice do.
func (s Schedule) String() string {
	if s.Realtime {
		return fmt.Sprintf("real-time priority %d", s.Priority)
	}
	return fmt.Sprintf("normal priority, nice %d", s.Nice)
}

// fault says what keeps a process of this schedule from the rank, nil for
// nothing.
func (r rank) fault(s Schedule) error {
	if r != rankUrgent || s.Realtime {
		return nil
	}
	return fmt.Errorf("it runs with %s instead of real-time priority %d: the machine refuses it (CAP_SYS_NICE, or cpu.rt_runtime_us of its control group)", s, urgentPriority)
}
