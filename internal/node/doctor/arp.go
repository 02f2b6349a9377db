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

	"golang.org/x/sys/unix"
)

// The fields of an ARP packet for Ethernet and IPv4, RFC 826.
const (
	arpSize         = 28
	arpEthernet     = 1
	arpIPv4         = 0x0800
	arpRequest      = 1
	arpReply        = 2
	arpTableAnswers = 64 // at most so many different answers are kept
)

// WhoHas implements [prober]. The request has no sender address, as one that
// looks for duplicates (RFC 5227), so that nobody learns anything from it.
func (system) WhoHas(ctx context.Context, link string, addr netip.Addr) ([]net.HardwareAddr, error) {
	if addr.Is6() {
		return whoHas6(ctx, link, addr)
	}
	ifc, err := net.InterfaceByName(link)
	if err != nil {
		return nil, fmt.Errorf("ask by ARP for %s: %v", addr, err)
	}
	if len(ifc.HardwareAddr) != 6 {
		return nil, nil // no Ethernet, nobody to ask
	}
	socket, err := openARP(ifc.Index)
	if err != nil {
		return nil, fmt.Errorf("ask by ARP for %s: %w", addr, err)
	}
	defer socket.Close()
	stop := context.AfterFunc(ctx, func() { _ = socket.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := sendARP(socket, ifc.Index, marshalARP(ifc.HardwareAddr, addr)); err != nil {
		return nil, fmt.Errorf("ask by ARP for %s: %v", addr, err)
	}
	var answers []net.HardwareAddr
	packet := make([]byte, 128)
	for len(answers) < arpTableAnswers {
		n, err := socket.Read(packet)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break // the time for answers is over
		}
		if err != nil {
			return nil, fmt.Errorf("ask by ARP for %s: %v", addr, err)
		}
		if mac, ok := parseARP(packet[:n], addr); ok && !has(answers, mac) {
			answers = append(answers, mac)
		}
	}
	return answers, nil
}

// openARP returns a socket that sees the ARP packets of one interface, without
// their Ethernet headers.
func openARP(index int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ARP), Ifindex: index}); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "arp"), nil
}

// sendARP asks everybody on the interface. The Ethernet header is the kernel's
// to write.
func sendARP(socket *os.File, index int, packet []byte) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	to := &unix.SockaddrLinklayer{
		Protocol: bigEndian(unix.ETH_P_ARP), Ifindex: index, Halen: 6,
		Addr: [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	}
	var sent error
	err = raw.Control(func(fd uintptr) { sent = unix.Sendto(int(fd), packet, 0, to) })
	return errors.Join(err, sent)
}

// marshalARP asks for an address.
func marshalARP(from net.HardwareAddr, addr netip.Addr) []byte {
	p := make([]byte, 0, arpSize)
	p = binary.BigEndian.AppendUint16(p, arpEthernet)
	p = binary.BigEndian.AppendUint16(p, arpIPv4)
	p = append(p, 6, 4)
	p = binary.BigEndian.AppendUint16(p, arpRequest)
	p = append(p, from...)
	p = append(p, 0, 0, 0, 0)       // sender: nobody
	p = append(p, 0, 0, 0, 0, 0, 0) // target MAC: asked for
	return append(p, addr.AsSlice()...)
}

// parseARP returns who answers for an address. A longer packet is padded.
func parseARP(p []byte, addr netip.Addr) (net.HardwareAddr, bool) {
	if len(p) < arpSize ||
		binary.BigEndian.Uint16(p[0:]) != arpEthernet || binary.BigEndian.Uint16(p[2:]) != arpIPv4 ||
		p[4] != 6 || p[5] != 4 || binary.BigEndian.Uint16(p[6:]) != arpReply {
		return nil, false
	}
	if sender, _ := netip.AddrFromSlice(p[14:18]); sender != addr {
		return nil, false
	}
	return net.HardwareAddr(bytes.Clone(p[8:14])), true
}

func has(list []net.HardwareAddr, mac net.HardwareAddr) bool {
	for _, m := range list {
		if bytes.Equal(m, mac) {
			return true
		}
	}
	return false
}

// bigEndian is a number as the kernel takes protocols: in network order, in a
// field of the host's.
func bigEndian(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}
