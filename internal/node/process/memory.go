package process

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// spared is the oom_score_adj of a process that the kernel ends last when
// memory runs out.
const spared = -900

// spare has the kernel end nearly everybody else first when memory runs out.
func spare(pid int) error {
	path := fmt.Sprintf("/proc/%d/oom_score_adj", pid)
	err := os.WriteFile(path, fmt.Appendf(nil, "%d", spared), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ESRCH) { // it may have ended already
		return fmt.Errorf("it may be the first to go when memory runs out: %v (CAP_SYS_RESOURCE)", err)
	}
	return nil
}

// withoutMemlockLimit has fn start a process that may lock its memory. Limits
// are inherited, and only the parent may raise this one; it puts its own back.
// Where it may not, the process starts with the limit there is and sees it.
func withoutMemlockLimit(fn func()) {
	var old unix.Rlimit
	none := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &none, &old) == nil {
		defer func() { _ = unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &old, nil) }()
	}
	fn()
}

// KeepMemory locks the calling process's memory, page by page as it comes into
// use, so that none of it has to be read from a disk first. It does so only
// where no limit stands: a locked Go process that reaches one cannot allocate
// any more. The error says why it does not.
func KeepMemory() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return fmt.Errorf("lock memory: %v", err)
	}
	if limit.Cur != unix.RLIM_INFINITY {
		return fmt.Errorf("lock memory: the limit (RLIMIT_MEMLOCK) is %d bytes: start \"sluice run\" with LimitMEMLOCK=infinity or CAP_SYS_RESOURCE", limit.Cur)
	}
	return lockMemory()
}

func lockMemory() error {
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		return fmt.Errorf("lock memory: %v", err)
	}
	return nil
}
