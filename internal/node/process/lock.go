package process

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Locks are POSIX record locks, not flock: the kernel tells who holds one, so
// a process is found by its lock and not by a number somebody wrote down. Two
// properties to keep in mind: a fork does not inherit them, which is wanted,
// and closing any descriptor of the file drops them, so a file is opened once.

// lockedError says that another process holds a lock.
type lockedError struct {
	path string
	pid  int
}

func (e *lockedError) Error() string {
	return fmt.Sprintf("lock %q: process %d holds it", e.path, e.pid)
}

// lock takes the lock for as long as the returned file stays open. The error
// is a *lockedError when another process has it.
func lock(path string) (*os.File, error) {
	// O_NOFOLLOW: the directory belongs to the node, and root must not be led
	// elsewhere by it.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %v", err)
	}
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	err = unix.FcntlFlock(f.Fd(), unix.F_SETLK, &whole)
	if err == nil {
		return f, nil
	}
	defer f.Close()
	if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
		return nil, fmt.Errorf("lock %q: %v", path, err)
	}
	pid, err := ask(f)
	if err != nil {
		return nil, err
	}
	return nil, &lockedError{path: path, pid: pid}
}

// holder returns who holds the lock, 0 when nobody does.
func holder(path string) (int, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the holder of a lock: %v", err)
	}
	defer f.Close()
	return ask(f)
}

func ask(f *os.File) (int, error) {
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &whole); err != nil {
		return 0, fmt.Errorf("ask for the holder of %q: %v", f.Name(), err)
	}
	if whole.Type == unix.F_UNLCK {
		return 0, nil
	}
	return int(whole.Pid), nil
}
