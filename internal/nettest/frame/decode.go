package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Decode reads a frame of whole headers with true lengths, as [Frame.Bytes]
// writes it: Bytes of the result gives the same frame again where the checksums
// are right, see [Verify]. Length is set only where bytes follow the packet.
func Decode(b []byte) (Frame, error) {
	d := decoder{frame: b}
	if err := d.ethernet(); err != nil {
		return Frame{}, fmt.Errorf("decode frame: %v", err)
	}
	return d.f, nil
}

// Verify checks the checksums of a frame that Decode accepts: IPv4's own and
// that of a TCP segment or an ICMP message. What a fragment carries cannot be
// checked.
func Verify(b []byte) error {
	d := decoder{frame: b}
	if err := d.ethernet(); err != nil {
		return fmt.Errorf("verify frame: %v", err)
	}
	for _, l := range d.sums {
		err, result := l.layer.VerifyChecksum()
		if err != nil {
			return fmt.Errorf("verify frame: %s: %v", l.name, err)
		}
		if !result.Valid {
			return fmt.Errorf("verify frame: %s checksum is %#04x, right is %#04x", l.name, result.Actual, result.Correct)
		}
	}
	return nil
}

// decoder fills a Frame layer by layer.
type decoder struct {
	frame []byte
	f     Frame
	sums  []summed
	// truncated is set by gopacket where a length says more than there is.
	truncated bool
}

// What gopacket's layers can do.
type (
	decodable interface {
		DecodeFromBytes([]byte, gopacket.DecodeFeedback) error
	}
	verifiable interface {
		VerifyChecksum() (error, gopacket.ChecksumVerificationResult)
	}
	pseudoHeadered interface {
		SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
	}
)

// summed is a decoded layer that has a checksum.
type summed struct {
	name  string
	layer verifiable
}

// SetTruncated implements gopacket.DecodeFeedback.
func (d *decoder) SetTruncated() { d.truncated = true }

// layer decodes one layer of which nothing may be missing.
func (d *decoder) layer(l decodable, b []byte) error {
	if err := l.DecodeFromBytes(b, d); err != nil {
		return err
	}
	if d.truncated {
		return errors.New("a length goes beyond the end")
	}
	return nil
}

// ethernet is by hand: gopacket takes a small EtherType for a length, and
// shortens the payload by it.
func (d *decoder) ethernet() error {
	b := d.frame
	if len(b) < ethernetLen {
		return fmt.Errorf("%d bytes are no Ethernet header", len(b))
	}
	d.f.DstMAC, d.f.SrcMAC = slices.Clone(b[:6]), slices.Clone(b[6:12])
	b = b[12:]
	for binary.BigEndian.Uint16(b) == TypeVLAN {
		if len(b) < tagLen+2 {
			return errors.New("a VLAN tag is cut")
		}
		d.f.VLANs = append(d.f.VLANs, binary.BigEndian.Uint16(b[2:]))
		b = b[tagLen:]
	}
	d.f.EtherType = binary.BigEndian.Uint16(b)
	b = b[2:]
	switch d.f.EtherType {
	case TypeIPv4:
		return d.ipv4(b)
	case TypeIPv6:
		return d.ipv6(b)
	default:
		d.f.Payload = slices.Clone(b)
		return nil
	}
}

// packetEnds notes what follows the packet that b begins with.
func (d *decoder) packetEnds(b []byte, length int) {
	if length < len(b) {
		d.f.Length = len(d.frame)
	}
}

// ipv4 refuses what Frame has no field for, so that nothing is lost unseen.
func (d *decoder) ipv4(b []byte) error {
	var ip layers.IPv4
	if err := d.layer(&ip, b); err != nil {
		return fmt.Errorf("ipv4: %v", err)
	}
	// gopacket reads a total length of 0 as "all there is".
	length := int(binary.BigEndian.Uint16(b[2:]))
	if ip.Version != 4 || length == 0 {
		return fmt.Errorf("ipv4: version %d, length %d", ip.Version, length)
	}
	if ip.Flags&layers.IPv4EvilBit != 0 {
		return errors.New("ipv4: the reserved flag is set")
	}
	if ip.Protocol == 0 {
		return errors.New("ipv4: protocol 0 is not supported")
	}
	d.packetEnds(b, length)
	d.f.TOS, d.f.TTL, d.f.ID = ip.TOS, new(ip.TTL), uint32(ip.Id)
	d.f.DontFragment = ip.Flags&layers.IPv4DontFragment != 0
	d.f.MoreFragments = ip.Flags&layers.IPv4MoreFragments != 0
	d.f.FragmentOffset = int(ip.FragOffset) * 8
	d.f.IPOptions = clone(ip.Contents[ipv4Len:])
	d.f.Protocol = uint8(ip.Protocol)
	d.addresses(ip.SrcIP, ip.DstIP)
	d.sums = append(d.sums, summed{"IPv4", &ip})
	return d.transport(&ip, ip.Payload)
}

// ipv6 is by hand but for the pseudo header: gopacket takes a hop-by-hop header
// for a part of this one, and a payload length of 0 for a mistake.
func (d *decoder) ipv6(b []byte) error {
	if len(b) < ipv6Len || b[0]>>4 != 6 {
		return errors.New("ipv6: no whole header")
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length > len(b)-ipv6Len {
		return errors.New("ipv6: a length goes beyond the end")
	}
	ip := layers.IPv6{SrcIP: b[8:24], DstIP: b[24:40]}
	d.packetEnds(b, ipv6Len+length)
	d.f.TOS = uint8(binary.BigEndian.Uint16(b) >> 4)
	d.f.FlowLabel = binary.BigEndian.Uint32(b) & 0xfffff
	d.f.Protocol, d.f.TTL = b[6], new(b[7])
	d.addresses(ip.SrcIP, ip.DstIP)
	payload, err := d.extensions(b[ipv6Len : ipv6Len+length])
	if err != nil {
		return fmt.Errorf("ipv6: %v", err)
	}
	return d.transport(&ip, payload)
}

// extensions takes the extension headers off b. A fragment header is the last.
func (d *decoder) extensions(b []byte) ([]byte, error) {
	for {
		switch d.f.Protocol {
		case ProtoHopByHop, ProtoRouting, ProtoDestination:
			if len(b) < 2 || len(b) < 8*(int(b[1])+1) {
				return nil, errors.New("an extension header is cut")
			}
			size := 8 * (int(b[1]) + 1)
			e := Extension{Type: d.f.Protocol, Body: slices.Clone(b[2:size])}
			d.f.Extensions = append(d.f.Extensions, e)
			d.f.Protocol, b = b[0], b[size:]
		case ProtoFragment:
			return d.fragment(b)
		default:
			return b, nil
		}
	}
}

// fragment reads the header that Bytes makes of the fragment fields. On a packet
// that is whole they would not bring it back.
func (d *decoder) fragment(b []byte) ([]byte, error) {
	if len(b) < fragmentLen {
		return nil, errors.New("a fragment header is cut")
	}
	word := binary.BigEndian.Uint16(b[2:])
	if b[1] != 0 || word&6 != 0 {
		return nil, errors.New("a fragment header uses reserved bits")
	}
	d.f.FragmentOffset = int(word &^ 7)
	d.f.MoreFragments = word&1 != 0
	d.f.ID = binary.BigEndian.Uint32(b[4:])
	if !d.f.isFragment() {
		return nil, errors.New("a fragment header on a whole packet is not supported")
	}
	d.f.Protocol = b[0]
	return b[fragmentLen:], nil
}

func (d *decoder) addresses(src, dst []byte) {
	s, _ := netip.AddrFromSlice(src)
	t, _ := netip.AddrFromSlice(dst)
	d.f.Src, d.f.Dst = netip.AddrPortFrom(s, 0), netip.AddrPortFrom(t, 0)
}

// transport leaves whatever is neither TCP nor ICMP in Payload.
func (d *decoder) transport(ip gopacket.NetworkLayer, b []byte) error {
	is4 := d.f.EtherType == TypeIPv4
	switch {
	case d.f.FragmentOffset > 0:
	case d.f.Protocol == ProtoTCP:
		return d.tcp(ip, b)
	case d.f.Protocol == ProtoICMP && is4, d.f.Protocol == ProtoICMPv6 && !is4:
		return d.icmp(ip, b)
	}
	d.f.Payload = clone(b)
	return nil
}

func (d *decoder) tcp(ip gopacket.NetworkLayer, b []byte) error {
	var tcp layers.TCP
	if err := d.layer(&tcp, b); err != nil {
		return fmt.Errorf("tcp: %v", err)
	}
	d.f.Src = netip.AddrPortFrom(d.f.Src.Addr(), uint16(tcp.SrcPort))
	d.f.Dst = netip.AddrPortFrom(d.f.Dst.Addr(), uint16(tcp.DstPort))
	d.f.Seq, d.f.Ack, d.f.Window, d.f.Urgent = tcp.Seq, tcp.Ack, tcp.Window, tcp.Urgent
	if tcp.Contents[12]&0xf != 0 {
		return errors.New("tcp: reserved bits are set")
	}
	d.f.Flags = Flags(tcp.Contents[13])
	d.f.Options = clone(tcp.Contents[tcpLen:])
	d.f.Payload = clone(tcp.Payload)
	return d.summed("TCP", &tcp, ip)
}

func (d *decoder) icmp(ip gopacket.NetworkLayer, b []byte) error {
	if len(b) < icmpLen {
		return errors.New("icmp: no whole header")
	}
	d.f.ICMP = &ICMP{Type: b[0], Code: b[1], Rest: binary.BigEndian.Uint32(b[4:])}
	d.f.Payload = clone(b[icmpLen:])
	if d.f.Protocol == ProtoICMP {
		var icmp layers.ICMPv4
		if err := d.layer(&icmp, b); err != nil {
			return fmt.Errorf("icmp: %v", err)
		}
		return d.summed("ICMP", &icmp, ip)
	}
	var icmp layers.ICMPv6
	if err := d.layer(&icmp, b); err != nil {
		return fmt.Errorf("icmpv6: %v", err)
	}
	return d.summed("ICMPv6", &icmp, ip)
}

// summed notes a layer for Verify, unless a fragment holds only a part of it.
func (d *decoder) summed(name string, layer verifiable, ip gopacket.NetworkLayer) error {
	if d.f.isFragment() {
		return nil
	}
	if l, ok := layer.(pseudoHeadered); ok {
		if err := l.SetNetworkLayerForChecksum(ip); err != nil {
			return err
		}
	}
	d.sums = append(d.sums, summed{name, layer})
	return nil
}

// clone leaves an absent part absent.
func clone(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return slices.Clone(b)
}
