package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// handle is a process held by a pidfd: it keeps naming that process when the
// number has long gone to another.
type handle struct {
	pid  int
	file *os.File
}

// openProcess holds a process by its number. The error matches
// [os.ErrProcessDone] when there is none.
func openProcess(pid int) (*handle, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return nil, fmt.Errorf("open process %d: %w", pid, os.ErrProcessDone)
	}
	if err != nil {
		return nil, fmt.Errorf("open process %d: %v", pid, err)
	}
	return newHandle(pid, fd), nil
}

// newHandle takes over a pidfd. Non-blocking, so that Go's poller waits on it
// and no thread is spent.
func newHandle(pid, fd int) *handle {
	_ = unix.SetNonblock(fd, true)
	return &handle{pid: pid, file: os.NewFile(uintptr(fd), "pidfd")}
}

func (h *handle) close() { _ = h.file.Close() }

// signal sends a signal; a process that is gone is no error.
func (h *handle) signal(sig unix.Signal) error {
	conn, err := h.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("signal process %d: %v", h.pid, err)
	}
	var sent error
	err = conn.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	if err = errors.Join(err, sent); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %v", h.pid, err)
	}
	return nil
}

// wait returns when the process has ended, and with an error matching
// [context.DeadlineExceeded] or [context.Canceled] when ctx ends first.
func (h *handle) wait(ctx context.Context) error {
	conn, err := h.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for process %d: %v", h.pid, err)
	}
	// An earlier wait that ran out left its deadline behind.
	_ = h.file.SetReadDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { _ = h.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err = conn.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		return err == nil && n == 1
	})
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil {
		return fmt.Errorf("wait for process %d: %w", h.pid, ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("wait for process %d: %v", h.pid, err)
	}
	h.reap()
	return nil
}

// reap frees the process table's entry when the process is our child: after
// the parent replaced its own program, the node it left behind still is, and
// no os.Process knows it. For everybody else's child it does nothing.
func (h *handle) reap() {
	conn, err := h.file.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) {
		_ = unix.Waitid(unix.P_PIDFD, int(fd), nil, unix.WEXITED|unix.WNOHANG, nil)
	})
}

// end asks a process by a signal to end and, when patience runs out, ends it.
func (h *handle) end(ctx context.Context, sig unix.Signal, patience time.Duration) error {
	if err := h.signal(sig); err != nil {
		return err
	}
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := h.wait(patient)
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if err := h.signal(unix.SIGKILL); err != nil {
		return err
	}
	return h.wait(context.WithoutCancel(ctx))
}
