package doctor

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	kernel "sluice/vip/address"
)

const ethernetSize = 14

// Own implements [gateway].
func (system) Own(link string) ([]netip.Prefix, error) { return kernel.Own(link) }

// Now implements [gateway].
func (system) Now() time.Time { return time.Now() }

// WhoHasFor implements [gateway]. The interface takes frames for the address as
// long as the socket is open, which is what it does for a macvlan's.
func (system) WhoHasFor(ctx context.Context, link string, from net.HardwareAddr, addr netip.Addr) ([]net.HardwareAddr, error) {
	if addr.Is6() {
		return whoHasFor6(ctx, link, from, addr)
	}
	socket, err := openFrames(link, from, unix.ETH_P_ARP, nil)
	if err != nil {
		return nil, fmt.Errorf("ask by ARP for %s from %s: %w", addr, from, err)
	}
	defer socket.Close()
	stop := context.AfterFunc(ctx, func() { _ = socket.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := socket.Write(strangerFrame(from, addr)); err != nil {
		return nil, fmt.Errorf("ask by ARP for %s from %s: %v", addr, from, err)
	}
	frame := make([]byte, 128)
	for {
		n, err := socket.Read(frame)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, nil // the time for answers is over
		}
		if err != nil {
			return nil, fmt.Errorf("ask by ARP for %s from %s: %v", addr, from, err)
		}
		if n < ethernetSize || !bytes.Equal(frame[:6], from) {
			continue
		}
		if mac, ok := parseARP(frame[ethernetSize:n], addr); ok {
			return []net.HardwareAddr{mac}, nil
		}
	}
}

// openFrames returns a socket for an interface's packets of a protocol that pass a
// filter, nil for all, with their Ethernet headers; to another MAC address than the
// interface's, too.
func openFrames(link string, mac net.HardwareAddr, protocol uint16, filter []unix.SockFilter) (*os.File, error) {
	ifc, err := net.InterfaceByName(link)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	member := unix.PacketMreq{Ifindex: int32(ifc.Index), Type: unix.PACKET_MR_UNICAST, Alen: 6}
	copy(member.Address[:], mac)
	err = unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &member)
	if err == nil && len(filter) > 0 { // before anything can come
		err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(protocol), Ifindex: ifc.Index})
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "frames"), nil
}

// strangerFrame asks everybody for an address.
func strangerFrame(from net.HardwareAddr, addr netip.Addr) []byte {
	frame := bytes.Repeat([]byte{0xff}, 6)
	frame = append(frame, from...)
	frame = binary.BigEndian.AppendUint16(frame, unix.ETH_P_ARP)
	return append(frame, marshalARP(from, addr)...)
}

// Macvlan implements [gateway]. It makes one that stays down, and so sends nothing,
// and removes it.
func (system) Macvlan(link string) error {
	parent, err := netlink.LinkByName(link)
	if err != nil {
		return fmt.Errorf("make a macvlan on %q: %v", link, err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = fmt.Sprintf("doctor%d", os.Getpid()), parent.Attrs().Index
	probe := &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_PRIVATE}
	if err := netlink.LinkAdd(probe); err != nil {
		return fmt.Errorf("no macvlan can be made on %q: %v", link, err)
	}
	if err := netlink.LinkDel(probe); err != nil {
		return fmt.Errorf("remove the macvlan %q: %v", attrs.Name, err)
	}
	return nil
}
