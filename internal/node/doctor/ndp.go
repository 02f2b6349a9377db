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
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Neighbour discovery as far as a question needs it (RFC 4861 §4.3, §4.4), in
// Ethernet frames.
const (
	ipv6Size       = 40
	solicitSize    = 32 // with the option of the sender's MAC
	advertSize     = 24 // without options
	typeSolicit    = 135
	typeAdvert     = 136
	flagSolicited  = 0x40
	optionSource   = 1
	optionTarget   = 2
	ndpHopLimit    = 255 // what came through a router has less
	offsetHeader   = ethernetSize + 6
	offsetICMPv6   = ethernetSize + ipv6Size
	frameSnapshot  = 256
	solicitedGroup = "ff02::1:ff00:0"
)

// whoHas6 is WhoHas for IPv6. It asks from the interface's own link-local address,
// so that answers come here alone: those to nobody, as one that looks for duplicates
// asks, go to all, who would then believe whoever answered last.
func whoHas6(ctx context.Context, link string, addr netip.Addr) ([]net.HardwareAddr, error) {
	ifc, err := net.InterfaceByName(link)
	if err != nil {
		return nil, fmt.Errorf("ask by neighbour discovery for %s: %v", addr, err)
	}
	if len(ifc.HardwareAddr) != 6 {
		return nil, nil // no Ethernet, nobody to ask
	}
	list, err := ifc.Addrs()
	if err != nil {
		return nil, fmt.Errorf("ask by neighbour discovery for %s: list the addresses of %s: %v", addr, link, err)
	}
	for _, one := range list {
		if n, ok := one.(*net.IPNet); ok {
			if own := address(n.IP); own.Is6() && own.IsLinkLocalUnicast() && own != addr {
				return solicit(ctx, link, ifc.HardwareAddr, own, addr, arpTableAnswers)
			}
		}
	}
	return nil, fmt.Errorf("ask by neighbour discovery for %s: %s has no link-local address; is IPv6 disabled there?", addr, link)
}

// whoHasFor6 is WhoHasFor for IPv6. Who answers learns that the stranger has the
// link-local address that its MAC makes, which nobody else has, and forgets it again.
func whoHasFor6(ctx context.Context, link string, from net.HardwareAddr, addr netip.Addr) ([]net.HardwareAddr, error) {
	return solicit(ctx, link, from, linkLocalOf(from), addr, 1)
}

// linkLocalOf is the address of a MAC in modified EUI-64 format (RFC 4291, A).
func linkLocalOf(mac net.HardwareAddr) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
}

// solicit asks from a MAC and a source address who has another address, and returns
// up to so many who answer.
func solicit(ctx context.Context, link string, from net.HardwareAddr, source, target netip.Addr, most int) ([]net.HardwareAddr, error) {
	wrap := func(err error) error {
		return fmt.Errorf("ask by neighbour discovery for %s from %s: %w", target, from, err)
	}
	socket, err := openFrames(link, from, unix.ETH_P_IPV6, advertsOnly)
	if err != nil {
		return nil, wrap(err)
	}
	defer socket.Close()
	stop := context.AfterFunc(ctx, func() { _ = socket.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := socket.Write(solicitFrame(from, source, target)); err != nil {
		return nil, wrap(err)
	}
	var answers []net.HardwareAddr
	frame := make([]byte, frameSnapshot)
	for len(answers) < most {
		n, err := socket.Read(frame)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break // the time for answers is over
		}
		if err != nil {
			return nil, wrap(err)
		}
		if mac, ok := parseAdvert(frame[:n], from, source, target); ok && !has(answers, mac) {
			answers = append(answers, mac)
		}
	}
	return answers, nil
}

// advertsOnly lets neighbour advertisements through: a gateway has much else.
var advertsOnly = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: offsetHeader},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.IPPROTO_ICMPV6, Jf: 3},
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: offsetICMPv6},
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: typeAdvert, Jf: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: frameSnapshot},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
}

// solicitFrame asks the group of an address for it.
func solicitFrame(from net.HardwareAddr, source, target netip.Addr) []byte {
	group := netip.MustParseAddr(solicitedGroup).As16()
	wanted := target.As16()
	copy(group[13:], wanted[13:])
	b := append([]byte{0x33, 0x33}, group[12:]...) // RFC 2464 §7
	b = append(b, from...)
	b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IPV6)
	b = append(b, 0x60, 0, 0, 0, 0, solicitSize, unix.IPPROTO_ICMPV6, ndpHopLimit)
	b = append(append(b, source.AsSlice()...), group[:]...)
	b = append(b, typeSolicit, 0, 0, 0, 0, 0, 0, 0)
	b = append(append(b, wanted[:]...), optionSource, 1)
	b = append(b, from...)
	binary.BigEndian.PutUint16(b[offsetICMPv6+2:], icmpv6Sum(b))
	return b
}

// parseAdvert returns who answers the question for an address: the MAC that the
// answer says, which is what neighbours remember. All of RFC 4861 §7.1.2 must hold,
// and it must be to who asked alone.
func parseAdvert(frame []byte, asker net.HardwareAddr, source, target netip.Addr) (net.HardwareAddr, bool) {
	if len(frame) < offsetICMPv6+advertSize || !bytes.Equal(frame[:6], asker) || binary.BigEndian.Uint16(frame[12:]) != unix.ETH_P_IPV6 {
		return nil, false
	}
	size := int(binary.BigEndian.Uint16(frame[ethernetSize+4:]))
	if frame[ethernetSize]>>4 != 6 || size < advertSize || len(frame) < offsetICMPv6+size ||
		frame[offsetHeader] != unix.IPPROTO_ICMPV6 || frame[offsetHeader+1] != ndpHopLimit {
		return nil, false
	}
	frame = frame[:offsetICMPv6+size] // the rest is padding
	message := frame[offsetICMPv6:]
	to, _ := netip.AddrFromSlice(frame[offsetICMPv6-16 : offsetICMPv6])
	about, _ := netip.AddrFromSlice(message[8:advertSize])
	if icmpv6Sum(frame) != 0 || message[0] != typeAdvert || message[1] != 0 || message[4]&flagSolicited == 0 || to != source || about != target {
		return nil, false
	}
	mac := frame[6:12]
	for options := message[advertSize:]; len(options) > 0; {
		if len(options) < 8 || options[1] == 0 || len(options) < 8*int(options[1]) {
			return nil, false
		}
		if options[0] == optionTarget {
			mac = options[2:8]
		}
		options = options[8*int(options[1]):]
	}
	return net.HardwareAddr(slices.Clone(mac)), true
}

// icmpv6Sum is the checksum over the message of a whole frame (RFC 4443 §2.3): 0 for
// one that has the right one.
func icmpv6Sum(frame []byte) uint16 {
	message := frame[offsetICMPv6:]
	sum := uint32(len(message)) + unix.IPPROTO_ICMPV6
	for part := range slices.Chunk(frame[offsetICMPv6-32:], 2) { // from the addresses on
		sum += uint32(part[0]) << 8
		if len(part) == 2 {
			sum += uint32(part[1])
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
