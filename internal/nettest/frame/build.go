package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

const (
	ethernetLen = 14
	tagLen      = 4
	ipv4Len     = 20
	ipv6Len     = 40
	tcpLen      = 20
	icmpLen     = 8
	fragmentLen = 8

	// maxOptions is what the 4-bit header lengths of IPv4 and TCP leave.
	maxOptions = 40
)

// Must returns the bytes of a frame that is known to be well described, and
// panics if it is not.
func Must(f Frame) []byte {
	b, err := f.Bytes()
	if err != nil {
		panic("frame: " + err.Error())
	}
	return b
}

// Bytes returns the frame as it is on the wire, without preamble and check
// sequence.
func (f Frame) Bytes() ([]byte, error) {
	f = f.defaults()
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("build frame: %v", err)
	}
	b := f.appendEthernet(nil)
	if f.Src.Addr().IsValid() {
		b = f.appendIP(b)
	} else {
		b = append(b, f.Payload...)
	}
	switch {
	case f.Length == 0:
	case f.Length < len(b):
		b = b[:f.Length]
	default:
		b = append(b, make([]byte, f.Length-len(b))...)
	}
	return b, nil
}

// check refuses what has no form on the wire. Everything that has one, however
// wrong, is built: that is what the frames are for.
func (f Frame) check() error {
	switch src, dst := f.Src.Addr(), f.Dst.Addr(); {
	case src.IsValid() != dst.IsValid() || src.Is4() != dst.Is4():
		return errors.New("source and destination are of different families")
	case len(f.SrcMAC) != 6 || len(f.DstMAC) != 6:
		return errors.New("a hardware address does not have 6 bytes")
	case len(f.IPOptions) > maxOptions || len(f.IPOptions)%4 != 0:
		return fmt.Errorf("%d bytes of IP options; use a multiple of 4 up to %d", len(f.IPOptions), maxOptions)
	case len(f.Options) > maxOptions || len(f.Options)%4 != 0:
		return fmt.Errorf("%d bytes of TCP options; use a multiple of 4 up to %d", len(f.Options), maxOptions)
	case f.FlowLabel >= 1<<20:
		return fmt.Errorf("flow label %#x has more than 20 bits", f.FlowLabel)
	case src.Is4() && f.ID >= 1<<16:
		return fmt.Errorf("id %#x has more than the 16 bits of IPv4", f.ID)
	case f.FragmentOffset%8 != 0 || f.FragmentOffset < 0 || f.FragmentOffset >= 1<<16:
		return fmt.Errorf("fragment offset %d; use a multiple of 8 below 65536", f.FragmentOffset)
	}
	for _, e := range f.Extensions {
		if len(e.Body)%8 != 6 {
			return fmt.Errorf("extension %d has a body of %d bytes; use a multiple of 8 less 2", e.Type, len(e.Body))
		}
	}
	return nil
}

func (f Frame) appendEthernet(b []byte) []byte {
	b = append(b, f.DstMAC...)
	b = append(b, f.SrcMAC...)
	for _, id := range f.VLANs {
		b = binary.BigEndian.AppendUint16(b, TypeVLAN)
		b = binary.BigEndian.AppendUint16(b, id)
	}
	return binary.BigEndian.AppendUint16(b, f.EtherType)
}

func (f Frame) appendIP(b []byte) []byte {
	body := f.transport()
	if f.Src.Addr().Is4() {
		b = f.appendIPv4(b, len(body))
	} else {
		b = f.appendIPv6(b, len(body))
	}
	return append(b, body...)
}

// appendIPv4 computes the header honestly first; lies come on top.
func (f Frame) appendIPv4(b []byte, body int) []byte {
	header := make([]byte, ipv4Len, ipv4Len+maxOptions)
	header[0] = 4<<4 | byte((ipv4Len+len(f.IPOptions))/4)
	header[1] = f.TOS
	binary.BigEndian.PutUint16(header[2:], uint16(ipv4Len+len(f.IPOptions)+body))
	binary.BigEndian.PutUint16(header[4:], uint16(f.ID))
	binary.BigEndian.PutUint16(header[6:], f.fragmentWord())
	header[8] = *f.TTL
	header[9] = f.Protocol
	src, dst := f.Src.Addr().As4(), f.Dst.Addr().As4()
	copy(header[12:], src[:])
	copy(header[16:], dst[:])
	header = append(header, f.IPOptions...)
	binary.BigEndian.PutUint16(header[10:], checksum(0, header))

	if v := f.Lies.IPVersion; v != nil {
		replace(header, 0, 10, *v<<4|header[0]&0xf)
	}
	if v := f.Lies.IHL; v != nil {
		replace(header, 0, 10, header[0]&0xf0|*v&0xf)
	}
	if v := f.Lies.IPLength; v != nil {
		replace(header, 2, 10, byte(*v>>8))
		replace(header, 3, 10, byte(*v))
	}
	if f.Lies.IPChecksum {
		header[10] ^= 0xff
	}
	return append(b, header...)
}

// fragmentWord is IPv4's flags and offset.
func (f Frame) fragmentWord() uint16 {
	word := uint16(f.FragmentOffset / 8)
	if f.DontFragment {
		word |= 1 << 14
	}
	if f.MoreFragments {
		word |= 1 << 13
	}
	return word
}

func (f Frame) isFragment() bool { return f.MoreFragments || f.FragmentOffset > 0 }

// appendIPv6 has no checksum to keep right when it lies.
func (f Frame) appendIPv6(b []byte, body int) []byte {
	chain := f.extensions()
	header := make([]byte, ipv6Len)
	binary.BigEndian.PutUint32(header, 6<<28|uint32(f.TOS)<<20|f.FlowLabel)
	binary.BigEndian.PutUint16(header[4:], uint16(len(chain.bytes)+body))
	header[6] = chain.first
	header[7] = *f.TTL
	src, dst := f.Src.Addr().As16(), f.Dst.Addr().As16()
	copy(header[8:], src[:])
	copy(header[24:], dst[:])
	if v := f.Lies.IPVersion; v != nil {
		header[0] = *v<<4 | header[0]&0xf
	}
	if v := f.Lies.IPLength; v != nil {
		binary.BigEndian.PutUint16(header[4:], *v)
	}
	b = append(b, header...)
	return append(b, chain.bytes...)
}

// chain is IPv6's extension headers and the protocol number that leads to them.
type chain struct {
	first uint8
	bytes []byte
}

// extensions puts the fragment header last, next to what is fragmented.
func (f Frame) extensions() chain {
	c := chain{first: f.Protocol}
	if f.isFragment() {
		header := make([]byte, fragmentLen)
		header[0] = f.Protocol
		word := uint16(f.FragmentOffset)
		if f.MoreFragments {
			word |= 1
		}
		binary.BigEndian.PutUint16(header[2:], word)
		binary.BigEndian.PutUint32(header[4:], f.ID)
		c = chain{ProtoFragment, header}
	}
	// From the innermost outwards: each names the one behind it.
	for _, e := range slices.Backward(f.Extensions) {

		header := append([]byte{c.first, byte((len(e.Body)+2)/8 - 1)}, e.Body...)
		c = chain{e.Type, append(header, c.bytes...)}
	}
	return c
}

// transport is what follows the IP headers.
func (f Frame) transport() []byte {
	switch {
	case f.FragmentOffset > 0:
		return f.Payload
	case f.ICMP != nil:
		return f.icmp()
	case f.Protocol == ProtoTCP:
		return f.tcp()
	default:
		return f.Payload
	}
}

// tcp is the segment, its checksum over all of it whatever DataOffset says.
func (f Frame) tcp() []byte {
	b := make([]byte, tcpLen, tcpLen+len(f.Options)+len(f.Payload))
	binary.BigEndian.PutUint16(b, f.Src.Port())
	binary.BigEndian.PutUint16(b[2:], f.Dst.Port())
	binary.BigEndian.PutUint32(b[4:], f.Seq)
	binary.BigEndian.PutUint32(b[8:], f.Ack)
	b[12] = byte((tcpLen+len(f.Options))/4) << 4
	b[13] = byte(f.Flags)
	binary.BigEndian.PutUint16(b[14:], f.Window)
	binary.BigEndian.PutUint16(b[18:], f.Urgent)
	b = append(b, f.Options...)
	b = append(b, f.Payload...)
	binary.BigEndian.PutUint16(b[16:], checksum(f.pseudoHeader(len(b)), b))
	if v := f.Lies.DataOffset; v != nil {
		replace(b, 12, 16, *v<<4|b[12]&0xf)
	}
	if f.Lies.Checksum {
		b[16] ^= 0xff
	}
	return b
}

// icmp is the message. Only IPv6's covers the addresses by its checksum.
func (f Frame) icmp() []byte {
	b := make([]byte, icmpLen, icmpLen+len(f.Payload))
	b[0], b[1] = f.ICMP.Type, f.ICMP.Code
	binary.BigEndian.PutUint32(b[4:], f.ICMP.Rest)
	b = append(b, f.Payload...)
	pseudo := uint32(0)
	if f.Protocol == ProtoICMPv6 {
		pseudo = f.pseudoHeader(len(b))
	}
	binary.BigEndian.PutUint16(b[2:], checksum(pseudo, b))
	if f.Lies.Checksum {
		b[2] ^= 0xff
	}
	return b
}
