package process

import (
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// StartPlain starts a command as anybody's: without a capability, at normal
// priority, and no dearer to the kernel than others when memory runs out. A
// plain Start would hand on all that its parent gave to the calling process.
func StartPlain(cmd *exec.Cmd) error {
	done := make(chan error, 1)
	go onSpareThread(func() {
		if err := bePlain(); err != nil {
			done <- fmt.Errorf("start %q: %v", cmd.Path, err)
			return
		}
		done <- cmd.Start()
	})
	if err := <-done; err != nil {
		return err
	}
	// More is anybody's to ask for, so this fails only where it has ended.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", cmd.Process.Pid), []byte("0"), 0)
	return nil
}

// bePlain takes from the calling thread what a child would inherit.
func bePlain() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear ambient capabilities: %v", err)
	}
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, 0) // 20 minus the nice value
	if err != nil {
		return fmt.Errorf("read nice value: %v", err)
	}
	// A higher one was given to all of us and is kept: only root may lower it.
	attr := unix.SchedAttr{Policy: unix.SCHED_NORMAL, Nice: int32(max(0, 20-raw))}
	if err := unix.SchedSetAttr(0, &attr, 0); err != nil {
		return fmt.Errorf("take normal priority: %v", err)
	}
	return nil
}
