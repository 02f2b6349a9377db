package process

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// nodeLock is the lock of a node process, in its data directory.
const nodeLock = "node.lock"

// LockNode makes the calling process the node of a data directory for as long
// as the returned file stays open.
func LockNode(dataDir string) (*os.File, error) {
	f, err := lock(filepath.Join(dataDir, nodeLock))
	if held, ok := errors.AsType[*lockedError](err); ok {
		return nil, fmt.Errorf("use %q: the node process %d does; one data directory serves one node", dataDir, held.pid)
	}
	return f, err
}

// find holds the node process that outlived its parent, nil when there is
// none. It looks behind the control socket first; a node that still starts, or
// whose control server is stuck, is found by its lock.
//
// A process found so that is not the node of the same pin directory is an
// error: signalling it would end a stranger.
func find(b Boot) (*handle, error) {
	h, err := bySocket(b.Socket)
	if err == nil && h == nil {
		h, err = byLock(b.DataDir)
	}
	if err != nil || h == nil {
		return nil, err
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", h.pid))
	if err == nil && isNode(line, b.Pins) {
		return h, nil
	}
	h.close()
	if err != nil || len(line) == 0 {
		return nil, nil // ended meanwhile
	}
	name, _, _ := bytes.Cut(line, []byte{0})
	return nil, fmt.Errorf("replace the running node: process %d (%q) holds %q or %q and is not the node of %q: stop it or choose other paths",
		h.pid, name, b.Socket, b.DataDir, b.Pins)
}

// isNode reads a command line as /proc shows it: arguments ended by NUL.
func isNode(line []byte, pins string) bool {
	var args []string
	for arg := range bytes.SplitSeq(bytes.TrimSuffix(line, []byte{0}), []byte{0}) {
		args = append(args, string(arg))
	}
	if len(args) < 2 || args[1] != Command {
		return false
	}
	b, err := ParseBoot(args[2:])
	return err == nil && b.Pins == pins
}

// bySocket holds the process that listens on a unix socket. That it was accepted
// is not needed: the kernel knows who listens as soon as the connection is made,
// also while that process is too busy to answer.
func bySocket(path string) (*handle, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for a running node: %v", err)
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("look for a running node: %v", err)
	}
	var h *handle
	var peerErr error
	err = raw.Control(func(fd uintptr) { h, peerErr = peer(int(fd)) })
	if err := errors.Join(err, peerErr); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return nil, fmt.Errorf("look for a running node: %v", err)
	}
	return h, nil
}

// peer holds the process at the other end. The error matches
// [os.ErrProcessDone] when it has ended.
func peer(fd int) (*handle, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return nil, err
	}
	// SO_PEERPIDFD (Linux 6.5) cannot name a later process of the same number.
	pidfd, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	switch {
	case err == nil:
		return newHandle(int(cred.Pid), pidfd), nil
	case errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENODATA):
		return nil, fmt.Errorf("peer: %w", os.ErrProcessDone)
	default:
		return openProcess(int(cred.Pid))
	}
}

func byLock(dataDir string) (*handle, error) {
	path := filepath.Join(dataDir, nodeLock)
	pid, err := holder(path)
	if err != nil || pid <= 0 {
		return nil, err
	}
	h, err := openProcess(pid)
	if errors.Is(err, os.ErrProcessDone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// Asked again with the pidfd in hand: the number was still the holder's.
	if again, err := holder(path); err != nil || again != pid {
		h.close()
		return nil, err
	}
	return h, nil
}
