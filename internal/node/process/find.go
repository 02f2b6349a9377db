package process

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// find holds the node process that outlived its parent, nil when there is
// none. It looks behind the control socket first; a node that still starts, or
// whose control server is stuck, is found by its lock.
//
// A process found so that is not the node of the same pin directory is an
// error: signalling it would end a stranger.
func find(b Boot) (*handle, error) {
	h, err := bySocket(b.Socket)
	if err == nil && h == nil {
		h, err = byLock(filepath.Join(b.DataDir, nodeLock))
	}
	if err != nil || h == nil {
		return nil, err
	}
	args, err := arguments(h.pid)
	if err == nil && isNode(args, b.Pins) {
		return h, nil
	}
	h.close()
	if err != nil || len(args) == 0 {
		return nil, nil // ended meanwhile
	}
	return nil, fmt.Errorf("replace the running node: process %d (%q) holds %q or %q and is not the node of %q: stop it or choose other paths",
		h.pid, args[0], b.Socket, b.DataDir, b.Pins)
}

// findVIP holds the vip process of these pins, nil when there is none. It takes
// its lock before anything else, so that one that is stuck is found like any.
func findVIP(b VIPBoot) (*handle, error) {
	path := filepath.Join(b.State, vipLock)
	h, err := byLock(path)
	if err != nil || h == nil {
		return nil, err
	}
	args, err := arguments(h.pid)
	if _, ours := parseVIPArguments(args, b.Pins); err == nil && ours {
		return h, nil
	}
	h.close()
	if err != nil || len(args) == 0 {
		return nil, nil // ended meanwhile
	}
	return nil, fmt.Errorf("replace the running vip process: process %d (%q) holds %q and is not the vip process of %q: stop it or choose another node.data_dir",
		h.pid, args[0], path, b.Pins)
}

// arguments returns the command line of a process, which /proc ends each word of
// by NUL. That of one that has ended and was not waited for is empty.
func arguments(pid int) ([]string, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil, fmt.Errorf("read command line of process %d: %w", pid, err)
	}
	return splitArguments(string(line)), nil
}

func splitArguments(line string) []string {
	if line == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(line, "\x00"), "\x00")
}

// isNode says whether a command line is that of the node of a pin directory.
func isNode(args []string, pins string) bool {
	if len(args) < 2 || args[1] != Command {
		return false
	}
	b, err := ParseBoot(args[2:])
	return err == nil && b.Pins == pins
}

// parseVIPArguments reads a command line and says whether it is that of the vip
// process of a pin directory.
func parseVIPArguments(args []string, pins string) (VIPBoot, bool) {
	words := len(VIPCommand)
	if len(args) < 1+words || !slices.Equal(args[1:1+words], VIPCommand) {
		return VIPBoot{}, false
	}
	b, err := ParseVIPBoot(args[1+words:])
	return b, err == nil && b.Pins == pins
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

// byLock holds the process that has a lock, nil when none has.
func byLock(path string) (*handle, error) {
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
