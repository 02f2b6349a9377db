package nettest

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// maxDescriptors is how many descriptors of a process are looked at.
const maxDescriptors = 64

// ListenerOf returns a copy of the socket by which a process listens at an
// address, for servers that would not hand it out themselves. Root is needed.
func ListenerOf(pid int, at netip.AddrPort) (*os.File, error) {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("take the listener of process %d: %v", pid, err)
	}
	defer unix.Close(process)
	for number := range maxDescriptors {
		fd, err := unix.PidfdGetfd(process, number, 0)
		if errors.Is(err, unix.EBADF) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("take the listener of process %d: %v", pid, err)
		}
		if listensAt(fd, at) {
			return os.NewFile(uintptr(fd), "listener"), nil
		}
		unix.Close(fd)
	}
	return nil, fmt.Errorf("process %d does not listen at %s", pid, at)
}

// listensAt is false for what is no socket.
func listensAt(fd int, at netip.AddrPort) bool {
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil || listens == 0 {
		return false
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return false
	}
	switch n := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(n.Addr), uint16(n.Port)) == at
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(n.Addr), uint16(n.Port)) == at
	}
	return false
}
