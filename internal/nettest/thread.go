package nettest

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// onThread runs enter and then fn on an OS thread of their own, whose network
// namespace enter may change, and waits for both.
//
// They run on a goroutine of their own so that a thread which cannot return to
// where it came from is never given back to the scheduler: its goroutine ends
// while it is locked, and the runtime kills it.
func onThread(enter, fn func() error) error {
	var (
		err      error
		returned bool
		done     = make(chan struct{})
	)
	go func() {
		defer close(done)
		err = func() error {
			home, err := lockThread()
			if err != nil {
				return err
			}
			defer home.release()
			if err := enter(); err != nil {
				return err
			}
			return fn()
		}()
		returned = true
	}()
	<-done
	if !returned {
		// fn called runtime.Goexit, most likely through t.FailNow. The caller's
		// goroutine is the one that was meant.
		runtime.Goexit()
	}
	return err
}

// homeThread is a locked thread that remembers its network namespace.
type homeThread struct{ file *os.File }

// lockThread gives the calling goroutine a thread of its own.
func lockThread() (*homeThread, error) {
	runtime.LockOSThread()
	// thread-self, not self: the latter is the main thread, which may be
	// visiting another namespace just now.
	file, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("open the thread's network namespace: %v", err)
	}
	return &homeThread{file: file}, nil
}

// release goes home and unlocks the thread, or leaves it locked.
func (h *homeThread) release() {
	if unix.Setns(int(h.file.Fd()), unix.CLONE_NEWNET) == nil {
		runtime.UnlockOSThread()
	}
	h.file.Close()
}
