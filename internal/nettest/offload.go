package nettest

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Wirelike makes a link send and receive packets as a wire would carry them: one
// segment each, with complete checksums.
//
// A veth end leaves both to a card that is not there. XDP on the other end then
// passes on packets whose checksum is a partial sum, which the receiver drops;
// and what one side counts as one packet the other side counts as forty.
func (n *Namespace) Wirelike(link string) error {
	return n.onLink(link, "switch offloads off", func(l netlink.Link) error {
		if err := n.Do(func() error { return setOffloads(link, wirelike, 0) }); err != nil {
			return err
		}
		// TCP builds long packets even for a link without segmentation and has
		// them cut behind every hook that could count them; with at most one
		// segment in a packet there is nothing to cut.
		return n.nl.LinkSetGSOMaxSegs(l, 1)
	})
}

// Unwirelike undoes Wirelike and has the link put segments together on their way in:
// what hosts do that have no need to look like a wire.
func (n *Namespace) Unwirelike(link string) error {
	return n.onLink(link, "switch offloads on", func(l netlink.Link) error {
		if err := n.nl.LinkSetGSOMaxSegs(l, maxSegments); err != nil {
			return err
		}
		return n.Do(func() error { return setOffloads(link, unwirelike, 1) })
	})
}

// maxSegments is GSO_MAX_SEGS of the kernel.
const maxSegments = 65535

// What is switched. Segmentation builds on checksums.
var (
	wirelike   = []uint32{unix.ETHTOOL_STSO, unix.ETHTOOL_SGSO, unix.ETHTOOL_SGRO, unix.ETHTOOL_STXCSUM}
	unwirelike = []uint32{unix.ETHTOOL_STXCSUM, unix.ETHTOOL_SGRO, unix.ETHTOOL_SGSO, unix.ETHTOOL_STSO}
)

// setOffloads uses the old one-feature commands, which every kernel has.
func setOffloads(link string, commands []uint32, value uint32) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, command := range commands {
		// EOPNOTSUPP: the link cannot do it anyway.
		err := ethtoolSet(fd, link, command, value)
		if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("ethtool command %#x: %v", command, err)
		}
	}
	return nil
}

// ethtoolValue is struct ethtool_value.
type ethtoolValue struct{ command, data uint32 }

// ethtoolRequest is struct ifreq with ifr_data, padded to the union's size.
type ethtoolRequest struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// ethtoolSet is by hand since x/sys/unix offers the reading commands only.
func ethtoolSet(fd int, link string, command, data uint32) error {
	if len(link) >= unix.IFNAMSIZ {
		return unix.ENAMETOOLONG
	}
	value := ethtoolValue{command: command, data: data}
	request := ethtoolRequest{data: unsafe.Pointer(&value)}
	copy(request.name[:], link)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(&value)
	if errno != 0 {
		return errno
	}
	return nil
}
