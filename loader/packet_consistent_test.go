package loader

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/pires/go-proxyproto"

	"sluice/internal/nettest/frame"
)

// consistent says what is wrong with what became of a frame.
func (z *fuzzed) consistent(in, out []byte, v verdict, counts tally) error {
	if v == xdpPass && !bytes.Equal(in, out) {
		return fmt.Errorf("a frame that is passed up was changed")
	}
	if !z.ours(in) && (v != xdpPass || counts.packets() != 0) {
		return fmt.Errorf("a frame without any of our addresses is not passed, or counted")
	}
	moved, drops := counts.moved(), counts.dropped()
	switch v {
	case xdpPass:
		if moved != 0 || drops != 0 {
			return fmt.Errorf("passed and counted: %+v", counts)
		}
		return nil
	case xdpDrop:
		if moved != 0 || drops != 1 {
			return fmt.Errorf("dropped and counted: %+v", counts)
		}
		return nil
	case xdpTX, xdpRedirect:
		if counts.packets() == 0 && v == xdpTX {
			return echoed(in, out)
		}
		if moved+drops != 1 || drops == 1 && v != xdpTX {
			return fmt.Errorf("sent and counted: %+v", counts)
		}
		if bytes := counts.bytes(); bytes != uint64(ipLength(in)) {
			return fmt.Errorf("%d bytes counted, IP length is %d", bytes, ipLength(in))
		}
		if drops == 1 {
			return answered(out)
		}
		return z.sent(in, out, counts)
	default:
		return fmt.Errorf("no verdict of ours")
	}
}

// sent says what is wrong with a frame that goes on.
func (z *fuzzed) sent(in, out []byte, counts tally) error {
	if int(ipLength(in))+14 > len(in) {
		return fmt.Errorf("a frame that is shorter than its IP length was sent on")
	}
	for id, m := range counts.Members {
		svc := z.services[z.d.members[id].Service]
		if m.PacketsIn == 1 && svc.Mode.Tunnels() {
			if err := outerRight(in, out); err != nil {
				return err
			}
			out = unwrapped(in, out)
		}
		if m.PacketsIn == 1 && svc.Proxy && !isICMP(in) {
			return sentBehind(in, out, m.Headers)
		}
	}
	if len(in) != len(out) || ipLength(in) != ipLength(out) {
		return fmt.Errorf("a frame of %d bytes and IP length %d leaves with %d and %d", len(in), ipLength(in), len(out), ipLength(out))
	}
	return sameResidue(in, out)
}

// sentBehind says what is wrong with a frame that goes to a server of PROXY
// headers. What is cut off, the client sends again.
func sentBehind(in, out []byte, headers uint64) error {
	link, whole := linkLen(in), int(ipLength(in))
	ip := in[link : link+whole]
	head := 20
	if ip[0]>>4 == 6 {
		head = 40
	}
	tcp := ip[head:]
	bare := head + int(tcp[12]>>4)*4
	length, frameLength := int(ipLength(out)), len(out)
	if headers == 1 {
		h, err := proxyproto.Read(bufio.NewReader(bytes.NewReader(out[link+bare : link+length])))
		if err != nil {
			return err
		}
		if from, to := addresses(ip, head); h.SourceAddr.String() != from || h.DestinationAddr.String() != to {
			return fmt.Errorf("the header says %s to %s, the packet %s to %s", h.SourceAddr, h.DestinationAddr, from, to)
		}
		size := int(headerLen(h.SourceAddr.(*net.TCPAddr).AddrPort()))
		length, frameLength = length-size, frameLength-size
	}
	asItWas := length == whole && frameLength == len(in)
	cut := length == bare && frameLength == link+bare
	syn := frame.Flags(tcp[13])&frame.SYN != 0
	if !asItWas && (!cut || headers == 0 && !syn) {
		return fmt.Errorf("%d bytes with %d of IP leave with %d and %d, %d headers apart", len(in), whole, frameLength, length, headers)
	}
	return sameResidue(in, out)
}

// addresses are who sent an IP packet of TCP, and to whom.
func addresses(ip []byte, head int) (from, to string) {
	at := func(addr, port []byte) string {
		a, _ := netip.AddrFromSlice(addr)
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(port)).String()
	}
	size := 16
	if head == 20 {
		size = 4
	}
	return at(ip[head-2*size:head-size], ip[head:]), at(ip[head-size:head], ip[head+2:])
}

// echoed says what is wrong with the answer to an echo request.
func echoed(in, out []byte) error {
	link := linkLen(in)
	if !isICMP(in) || len(in) != len(out) || ipLength(in) != ipLength(out) {
		return fmt.Errorf("answered without being counted")
	}
	ip, icmp := residues(out)
	if _, was := residues(in); ip != 0 || icmp != was {
		return fmt.Errorf("checksums of the answer are off by %#x (IP) and %#x (ICMP), on the way in by %#x", ip, icmp, was)
	}
	head := 20
	if in[link]>>4 == 6 {
		head = 40
	}
	asked, answered := in[link+head], out[link+head]
	if !(asked == 8 && answered == 0) && !(asked == 128 && answered == 129) {
		return fmt.Errorf("ICMP type %d was answered by %d", asked, answered)
	}
	return nil
}

// behindIP is the length of the IP header of a frame without options.
func behindIP(f frame.Frame) int {
	if f.Dst.Addr().Is4() {
		return 20
	}
	return 40
}

func isICMP(b []byte) bool {
	ip := b[linkLen(b):]
	return ip[0]>>4 == 4 && ip[9] == frame.ProtoICMP || ip[0]>>4 == 6 && ip[6] == frame.ProtoICMPv6
}

// outerRight checks the outer headers of a frame. The checksum of UDP is made
// from those of the packet inside, so it is as right as they are.
func outerRight(in, out []byte) error {
	if room := len(out) - len(in); int(ipLength(out)) != int(ipLength(in))+room {
		return fmt.Errorf("%d bytes in front make an IP length of %d, it was %d", room, ipLength(out), ipLength(in))
	}
	if err := frame.Verify(out); err != nil {
		return err
	}
	if ip, tcp := residues(in); ip != 0 || tcp != 0 {
		return nil
	}
	f, err := frame.Decode(out)
	if err != nil || f.Protocol != frame.ProtoUDP {
		return err
	}
	pseudo := slices.Concat(f.Payload, make([]byte, len(f.Payload)%2), f.Src.Addr().AsSlice(), f.Dst.Addr().AsSlice(),
		[]byte{0, frame.ProtoUDP, byte(len(f.Payload) >> 8), byte(len(f.Payload))})
	if r := residue(pseudo); r != 0 {
		return fmt.Errorf("UDP checksum is off by %#x", r)
	}
	return nil
}

// unwrapped is the frame without its outer headers.
func unwrapped(in, out []byte) []byte {
	link := linkLen(in)
	return slices.Concat(out[:link-2], in[link-2:link], out[link+len(out)-len(in):])
}

// linkLen is the length of the Ethernet header and its tags.
func linkLen(b []byte) int {
	at := 14
	for b[at-2] == 0x81 && b[at-1] == 0 || b[at-2] == 0x88 && b[at-1] == 0xa8 {
		at += 4
	}
	return at
}

// answered says what is wrong with an answer of our own: a bare reset, or an
// error that says what fits.
func answered(out []byte) error {
	if err := frame.Verify(out); err != nil {
		return err
	}
	f, err := frame.Decode(out)
	switch {
	case err != nil || !f.Src.IsValid():
		return err
	case f.ICMP != nil && (f.ICMP.Type == 3 && f.ICMP.Code == 4 || f.ICMP.Type == 2 && f.ICMP.Code == 0):
		return nil
	case f.Flags&frame.RST == 0 || len(f.Payload) > 0:
		return fmt.Errorf("an answer of our own is neither a bare reset nor packet too big")
	}
	return nil
}

// sameResidue checks the checksums of a frame that was translated: right ones
// stay right, and wrong ones stay wrong by as much, so that the receiver sees
// what the sender did.
func sameResidue(in, out []byte) error {
	ipIn, tcpIn := residues(in)
	ipOut, tcpOut := residues(out)
	if ipIn != ipOut || tcpIn != tcpOut {
		return fmt.Errorf("checksums are off by %#x (IP) and %#x (TCP), on the way in by %#x and %#x", ipOut, tcpOut, ipIn, tcpIn)
	}
	return nil
}

// residues are the sums of what the checksums of IPv4 and of TCP or ICMP cover,
// 0 if they are right. The frame has no IP options or extensions, or it is not
// steered.
func residues(b []byte) (ip, tcp uint16) {
	length := int(ipLength(b))
	at := linkLen(b)
	p := b[at : at+length]
	switch {
	case p[0]>>4 == 4 && p[9] == frame.ProtoICMP:
		return residue(p[:20]), residue(append(bytes.Clone(p[20:]), 0, 0, 0, 0))
	case p[0]>>4 == 6 && p[6] == frame.ProtoICMPv6:
		return 0, residue(append(bytes.Clone(p[8:]), 0, frame.ProtoICMPv6, byte((length-40)>>8), byte(length-40)))
	case p[0]>>4 == 4:
		return residue(p[:20]), residue(append(bytes.Clone(p[12:]), 0, 6, byte((length-20)>>8), byte(length-20)))
	}
	return 0, residue(append(bytes.Clone(p[8:]), 0, 6, byte((length-40)>>8), byte(length-40)))
}

// residue is the internet checksum of b. An odd byte stands before the last two
// words, which residues appends.
func residue(b []byte) uint16 {
	if len(b)%2 != 0 {
		n := len(b) - 4
		b = append(append(bytes.Clone(b[:n]), 0), b[n:]...)
	}
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
		sum = sum&0xffff + sum>>16
	}
	if sum == 0xffff {
		sum = 0
	}
	return uint16(sum)
}

// ours says that a frame holds an address of ours at all.
func (z *fuzzed) ours(in []byte) bool {
	for _, mark := range z.marks {
		if bytes.Contains(in, mark) {
			return true
		}
	}
	return false
}

// moved and dropped are the packets that went on, and those that did not.
func (c tally) moved() (n uint64) {
	for _, m := range c.Members {
		n += m.PacketsIn + m.PacketsOut
	}
	return n
}

func (c tally) dropped() (n uint64) {
	for _, d := range c.Drops {
		n += d.Packets
	}
	return n
}

func (c tally) packets() (n uint64) {
	for _, s := range c.Services {
		n += s.PacketsIn
	}
	return n + c.moved() + c.dropped()
}

func (c tally) bytes() (n uint64) {
	for _, m := range c.Members {
		n += m.BytesIn + m.BytesOut
	}
	for _, d := range c.Drops {
		n += d.Bytes
	}
	return n
}
