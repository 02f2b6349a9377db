package doctor

import (
	"runtime"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The old ethtool commands, one value each: every kernel has them, and they
// ask the namespace of the thread and not, as sysfs does, that of a mount.

// ETH_FLAG_LRO and ETH_FLAG_RXVLAN of linux/ethtool.h.
const (
	flagLRO    = 1 << 15
	flagRXVLAN = 1 << 8
)

// oneValue is struct ethtool_value.
type oneValue struct{ command, data uint32 }

// channels is struct ethtool_channels.
type channels struct {
	command                                uint32
	maxRX, maxTX, maxOther, maxCombined    uint32
	rxCount, txCount, otherCount, combined uint32
}

// ethtoolValue asks for one value. What an interface does not have reads as 0.
func ethtoolValue(link string, command uint32) uint32 {
	value := oneValue{command: command}
	if !ethtool(link, unsafe.Pointer(&value)) {
		return 0
	}
	return value.data
}

// queues returns how many queues of each direction are in use, or, where the
// driver does not tell, how many there may be.
func queues(a *netlink.LinkAttrs) (rx, tx int) {
	c := channels{command: unix.ETHTOOL_GCHANNELS}
	if !ethtool(a.Name, unsafe.Pointer(&c)) {
		return a.NumRxQueues, a.NumTxQueues
	}
	return int(c.rxCount + c.combined), int(c.txCount + c.combined)
}

// driver is "unknown" where the interface does not tell.
func driver(link string) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "unknown"
	}
	defer unix.Close(fd)
	info, err := unix.IoctlGetEthtoolDrvinfo(fd, link)
	if err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(info.Driver[:])
}

// ethtoolRequest is struct ifreq with ifr_data, padded to the union's size.
type ethtoolRequest struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// ethtool has the kernel fill the structure at data, which begins with the
// command.
func ethtool(link string, data unsafe.Pointer) bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	request := ethtoolRequest{data: data}
	copy(request.name[:unix.IFNAMSIZ-1], link)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(data)
	return errno == 0
}
