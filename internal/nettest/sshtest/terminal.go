package sshtest

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo terminal: near is ours, far is the program's.
type terminal struct{ near, far *os.File }

// openTerminal makes a terminal that nobody leads yet.
func openTerminal() (*terminal, error) {
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("open terminal: %v", err)
	}
	number := uint32(0)
	err = control(near, func(fd int) (err error) {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		number, err = unix.IoctlGetUint32(fd, unix.TIOCGPTN)
		return err
	})
	if err != nil {
		near.Close()
		return nil, fmt.Errorf("unlock terminal: %v", err)
	}
	far, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		near.Close()
		return nil, fmt.Errorf("open terminal: %v", err)
	}
	return &terminal{near: near, far: far}, nil
}

// resize sets the size in characters.
func (t *terminal) resize(columns, rows uint32) error {
	return control(t.near, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: uint16(columns), Row: uint16(rows)})
	})
}

func (t *terminal) close() {
	t.near.Close()
	t.far.Close()
}

// control runs fn on a file's descriptor and leaves the file pollable, which
// File.Fd would not: closing near must end a read that waits.
func control(f *os.File, fn func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = fn(int(fd)) }); err != nil {
		return err
	}
	return inner
}
