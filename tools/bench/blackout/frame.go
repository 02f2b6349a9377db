package blackout

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// look reads a frame: an answer of the VIP's, or anything else.
func look(frame []byte, vip netip.Addr) (s sight, ok bool) {
	const ethernet = 14
	if len(frame) < ethernet+28 {
		return s, false
	}
	body := frame[ethernet:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case unix.ETH_P_ARP:
		// An answer whose target is another: an announcement names itself.
		from, _ := netip.AddrFromSlice(body[14:18])
		target, _ := netip.AddrFromSlice(body[24:28])
		return sight{arp: true}, body[7] == 2 && from == vip && target != vip
	case unix.ETH_P_IP:
		length := int(body[0]&15) * 4
		from, _ := netip.AddrFromSlice(body[12:16])
		if body[9] != unix.IPPROTO_ICMP || from != vip || len(body) < length {
			return s, false
		}
		s.number, ok = replyNumber(body[length:])
		return s, ok
	}
	return s, false
}

// Ask sends one ARP request for the VIP from a host, on a link with this
// address. Everybody who believes to own the VIP answers, and the host's own
// tables do not change.
func Ask(n *nettest.Namespace, link string, own, vip netip.Addr) error {
	index, noIndex := n.Index(link)
	mac, noMAC := n.MAC(link)
	if err := errors.Join(noIndex, noMAC); err != nil {
		return err
	}
	everybody := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	frame := slices.Concat(everybody, mac,
		[]byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, mac, own.AsSlice(), make([]byte, 6), vip.AsSlice())
	err := n.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: index, Halen: 6, Addr: [8]byte(append(everybody, 0, 0))})
	})
	if err != nil {
		return fmt.Errorf("ask for %s: %v", vip, err)
	}
	return nil
}
