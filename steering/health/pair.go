package health

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"unsafe"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// pair is the veth pair of the check link.
type pair struct{ stack, xdp netlink.Link }

// findOrMake returns the pair, and whether it had to be made.
func findOrMake(h *netlink.Handle) (p pair, made bool, err error) {
	if p.stack, err = find(h, stackEnd, stackMAC); err != nil {
		return p, false, err
	}
	if p.xdp, err = find(h, xdpEnd, xdpMAC); err != nil {
		return p, false, err
	}
	if p.stack != nil && p.xdp != nil && p.stack.Attrs().ParentIndex == p.xdp.Attrs().Index {
		return p, false, nil
	}
	// One end without the other here is the rest of something odd, such as an
	// end that was moved to another namespace.
	for _, end := range []netlink.Link{p.stack, p.xdp} {
		if end != nil {
			if err := h.LinkDel(end); err != nil {
				return p, false, fmt.Errorf("remove what is left of it, %q: %v", end.Attrs().Name, err)
			}
		}
	}
	p, err = makePair(h)
	return p, err == nil, err
}

// find returns an end, nil if there is no interface of that name. An interface
// that is not ours is an error.
func find(h *netlink.Handle, name string, mac net.HardwareAddr) (netlink.Link, error) {
	link, err := h.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up interface %q: %v", name, err)
	}
	if link.Type() != "veth" || !bytes.Equal(link.Attrs().HardwareAddr, mac) {
		return nil, fmt.Errorf("interface %q exists and is none of ours; rename or delete it", name)
	}
	return link, nil
}

func makePair(h *netlink.Handle) (p pair, err error) {
	err = h.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: stackEnd, MTU: linkMTU, HardwareAddr: stackMAC},
		PeerName:  xdpEnd, PeerMTU: linkMTU, PeerHardwareAddr: xdpMAC,
	})
	if err != nil {
		return p, err
	}
	if p.stack, err = h.LinkByName(stackEnd); err == nil {
		p.xdp, err = h.LinkByName(xdpEnd)
	}
	return p, err
}

// configure brings the pair into the state it must have; it may be there
// already.
//
// Neither end does ARP or neighbour discovery. That makes every address of a
// route over stackEnd resolve to stackEnd's own MAC, for both families and
// with no entry to be kept. And as this is not xdpEnd's MAC, a probe that no
// program catches there is another host's to the stack, which drops it;
// otherwise a node that forwards would route it into the pair again and again.
func (p pair) configure(h *netlink.Handle) error {
	if err := reversePathLoose(p.stack.Attrs().Index); err != nil {
		return fmt.Errorf("loosen the reverse path filter of %q: %v", stackEnd, err)
	}
	for _, end := range []netlink.Link{p.stack, p.xdp} {
		name := end.Attrs().Name
		// No link-local address, and so hardly a word from the kernel itself.
		const genNone = 1 // IN6_ADDR_GEN_MODE_NONE
		err := h.LinkSetIP6AddrGenMode(end, genNone)
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("switch address generation of %q off: %v", name, err)
		}
		if err := h.LinkSetARPOff(end); err != nil {
			return fmt.Errorf("switch ARP of %q off: %v", name, err)
		}
		if err := h.LinkSetMTU(end, linkMTU); err != nil {
			return fmt.Errorf("set MTU of %q: %v", name, err)
		}
		if err := offloadsOff(name); err != nil {
			return fmt.Errorf("switch offloads of %q off: %v", name, err)
		}
		if err := h.LinkSetUp(end); err != nil {
			return fmt.Errorf("bring %q up: %v", name, err)
		}
	}
	return nil
}

// reversePathLoose sets rp_filter to 2 by netlink, not by /proc/sys. The
// greater of an interface's own value and that of "all" holds: a strict "all"
// would drop answers on a node whose rules route by source address, since the
// way back to the check address would then be looked up in the wrong table.
func reversePathLoose(index int) error {
	const (
		iflaInetConf        = 1 // linux/if_link.h
		ipv4DevconfRPFilter = 8 // linux/ip.h
		loose               = 2
	)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	conf := spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(iflaInetConf, nil)
	conf.AddRtAttr(ipv4DevconfRPFilter, binary.NativeEndian.AppendUint32(nil, loose))
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	req.AddData(msg)
	req.AddData(spec)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// offloadsOff makes the stack finish its packets before they enter the pair:
// XDP rewrites checksums by difference, and the difference of a partial one is
// wrong.
func offloadsOff(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	// Segmentation first: it builds on checksums.
	for _, command := range []uint32{unix.ETHTOOL_STSO, unix.ETHTOOL_SGSO, unix.ETHTOOL_STXCSUM} {
		if err := ethtoolOff(fd, name, command); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
			return os.NewSyscallError("ioctl SIOCETHTOOL", err)
		}
	}
	return nil
}

// ethtoolOff speaks the ioctl by hand; x/sys offers reading only.
func ethtoolOff(fd int, name string, command uint32) error {
	value := struct{ command, data uint32 }{command, 0}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // the rest of the union in struct ifreq
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(&value)
	if errno != 0 {
		return errno
	}
	return nil
}
