package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Companion is the vip process as the node beside it sees it.
type Companion struct {
	PID int
	// Since is when it was started.
	Since time.Time
	// Restarts is how often its parent started it again because it had ended.
	Restarts int
	// Rights are what it may do, Schedule how soon it runs when it is due.
	Rights   Status
	Schedule Schedule
}

// FindCompanion looks for the vip process of the same pins; found is false where
// there is none, or none any more.
func FindCompanion(b Boot) (c Companion, found bool, err error) {
	h, err := findVIP(b.VIP())
	if err != nil || h == nil {
		return Companion{}, false, err
	}
	defer h.close()
	c.PID = h.pid
	args, err := arguments(h.pid)
	if boot, ours := parseVIPArguments(args, b.Pins); ours {
		c.Restarts = boot.Restarts
	}
	var errs [3]error
	c.Rights, errs[0] = ReadStatus(h.pid)
	c.Schedule, errs[1] = ReadSchedule(h.pid)
	c.Since, errs[2] = StartedAt(h.pid)
	if err = errors.Join(append(errs[:], err)...); err == nil {
		return c, true, nil
	}
	if gone, _ := arguments(h.pid); len(gone) == 0 {
		return Companion{}, false, nil
	}
	return Companion{}, false, err
}

// userHZ is the unit of times in /proc: a part of the kernel's interface, on
// every machine the same.
const userHZ = 100

// StartedAt returns when a process was started, to a hundredth of a second. The
// error matches [os.ErrNotExist] when no such process lives.
func StartedAt(pid int) (time.Time, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return time.Time{}, fmt.Errorf("read start of process %d: %w", pid, err)
	}
	sinceBoot, err := parseStart(string(text))
	if err != nil {
		return time.Time{}, fmt.Errorf("read start of process %d: %v", pid, err)
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return time.Time{}, fmt.Errorf("read start of process %d: %v", pid, err)
	}
	return time.Now().Add(sinceBoot - time.Duration(now.Nano())).Round(time.Second / userHZ), nil
}

// parseStart reads starttime, the 22nd field of /proc/PID/stat. The second one
// is the program's name in brackets, which may hold anything.
func parseStart(stat string) (time.Duration, error) {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("only %d fields after the name", len(fields))
	}
	ticks, err := strconv.ParseUint(fields[19], 10, 63)
	if err != nil || ticks > uint64(1<<63-1)/uint64(time.Second/userHZ) {
		return 0, fmt.Errorf("%q is no time", fields[19])
	}
	return time.Duration(ticks) * (time.Second / userHZ), nil
}
