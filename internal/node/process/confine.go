package process

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// confinement is what a started process is reduced to.
type confinement struct {
	caps     CapSet
	uid, gid int
	// rank is no right: the process keeps what it was born with.
	rank rank
}

// changesUser says that the process is not to run as who starts it.
func (c confinement) changesUser() bool { return c.uid != os.Geteuid() }

// ordinary says that an ordinary user starts a process that needs no
// capability: there is nothing to take from it.
func (c confinement) ordinary() bool { return c.caps == 0 && os.Geteuid() != 0 }

// needs are the capabilities the starting process must have to confine
// another: those it gives, SETPCAP to shrink the bounding set, and the ids.
func (c confinement) needs() CapSet {
	need := c.caps
	if !c.ordinary() {
		need |= capSet(unix.CAP_SETPCAP)
	}
	if c.changesUser() {
		need |= capSet(unix.CAP_SETUID, unix.CAP_SETGID)
	}
	return need
}

// start runs argv with exactly c.caps in every one of the five sets and no way
// to gain another: no_new_privs, a bounding set of the same, and a uid 0 that
// is a number like any other (SECBIT_NOROOT).
//
// Capabilities belong to threads and a child takes those of the thread that
// forks it. So they are dropped on a thread that serves this start alone.
func (c confinement) start(path string, argv []string, env []string, files []*os.File) (*os.Process, error) {
	type result struct {
		process *os.Process
		err     error
	}
	done := make(chan result, 1)
	go onSpareThread(func() {
		c.rank.raise() // while the thread still may
		if err := c.confineThread(); err != nil {
			done <- result{err: err}
			return
		}
		process, err := os.StartProcess(path, argv, &os.ProcAttr{Env: env, Files: files, Sys: c.sysProcAttr()})
		if err != nil {
			err = fmt.Errorf("start process: %v", err)
		}
		done <- result{process, err}
	})
	r := <-done
	return r.process, r.err
}

// onSpareThread runs fn on a thread that ends with the calling goroutine,
// because nothing unlocks it. The process's first thread cannot end, and
// /proc/PID/status shows its rights as the process's: where the goroutine is
// on it, another one is started, which cannot be.
func onSpareThread(fn func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		fn()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		onSpareThread(fn)
	}()
	<-done
	runtime.UnlockOSThread()
}

// sysProcAttr sets no PR_SET_PDEATHSIG: the node outlives a killed parent. It
// gets a process group of its own, so that ^C reaches the parent alone.
func (c confinement) sysProcAttr() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	for _, n := range c.caps.numbers() {
		attr.AmbientCaps = append(attr.AmbientCaps, uintptr(n))
	}
	if c.changesUser() {
		attr.Credential = &syscall.Credential{Uid: uint32(c.uid), Gid: uint32(c.gid)}
	}
	return attr
}

func (c confinement) confineThread() error {
	if !c.ordinary() {
		if err := boundThread(c.caps); err != nil {
			return err
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %v", err)
	}
	return nil
}

// boundThread takes from the calling thread every way to capabilities but
// those of keep.
func boundThread(keep CapSet) error {
	last, err := lastCap()
	if err != nil {
		return err
	}
	for n := range last + 1 {
		if keep.Has(capSet(n)) {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(n), 0, 0, 0); err != nil {
			return fmt.Errorf("drop %s from the bounding set: %v", capSet(n), err)
		}
	}
	// What a container runtime left inheritable would come through exec.
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %v", err)
	}
	data[0].Inheritable, data[1].Inheritable = 0, 0
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("clear inheritable capabilities: %v", err)
	}
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, secbitNoRoot|secbitNoRootLocked, 0, 0, 0); err != nil {
		return fmt.Errorf("take the meaning from uid 0: %v", err)
	}
	return nil
}

// Of include/uapi/linux/securebits.h.
const (
	secbitNoRoot       = 1 << 0
	secbitNoRootLocked = 1 << 1
)

// AllCaps is every capability the running kernel knows.
func AllCaps() (CapSet, error) {
	last, err := lastCap()
	return 1<<(last+1) - 1, err
}

// lastCap asks the kernel for its highest capability: PR_CAPBSET_READ knows
// every number it has and refuses the next.
func lastCap() (int, error) {
	for n := range 64 {
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0); err != nil {
			if n == 0 {
				return 0, fmt.Errorf("read the bounding set: %v", err)
			}
			return n - 1, nil
		}
	}
	return 63, nil
}
