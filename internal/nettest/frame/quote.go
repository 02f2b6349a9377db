package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// quotedTCP is what every ICMP error quotes of a TCP header: ports and sequence
// number (RFC 792).
const quotedTCP = 8

// Quote returns the begin of f's packet as an ICMP error quotes it: the IP
// headers, and size bytes of what follows them. The result is Payload of the
// error.
func Quote(f Frame, size int) ([]byte, error) {
	b, err := f.Bytes()
	if err != nil {
		return nil, err
	}
	f = f.defaults()
	packet := b[ethernetLen+tagLen*len(f.VLANs):]
	keep := ipv4Len + len(f.IPOptions)
	if !f.Src.Addr().Is4() {
		keep = ipv6Len + len(f.extensions().bytes)
	}
	if len(packet) < keep+size {
		return nil, fmt.Errorf("quote frame: the packet has %d bytes, not %d", len(packet), keep+size)
	}
	return packet[:keep+size], nil
}

// ReadQuote reads the packet that an ICMP error quotes, which may be cut after
// the first 8 bytes of TCP, and checks the header checksum of IPv4. Of the
// result Src, Dst, Seq, Protocol and TTL are set. IPv6 extension headers are
// not read.
func ReadQuote(b []byte) (Frame, error) {
	f, rest, err := quotedIP(b)
	if err != nil {
		return Frame{}, fmt.Errorf("read quote: %v", err)
	}
	if f.Protocol != ProtoTCP {
		return f, nil
	}
	if len(rest) < quotedTCP {
		return Frame{}, fmt.Errorf("read quote: %d bytes of tcp, less than 8", len(rest))
	}
	f.Src = netip.AddrPortFrom(f.Src.Addr(), binary.BigEndian.Uint16(rest))
	f.Dst = netip.AddrPortFrom(f.Dst.Addr(), binary.BigEndian.Uint16(rest[2:]))
	f.Seq = binary.BigEndian.Uint32(rest[4:])
	return f, nil
}

// quotedIP does not look at the packet's length, which is that of the whole.
func quotedIP(b []byte) (Frame, []byte, error) {
	d := decoder{}
	switch {
	case len(b) >= ipv4Len && b[0]>>4 == 4:
		size := int(b[0]&0xf) * 4
		if size < ipv4Len || size > len(b) {
			return Frame{}, nil, errors.New("the IPv4 header is cut")
		}
		if checksum(0, b[:size]) != 0 {
			return Frame{}, nil, errors.New("the IPv4 header checksum is wrong")
		}
		d.f.TTL, d.f.Protocol = new(b[8]), b[9]
		d.addresses(b[12:16], b[16:20])
		return d.f, b[size:], nil
	case len(b) >= ipv6Len && b[0]>>4 == 6:
		d.f.Protocol, d.f.TTL = b[6], new(b[7])
		d.addresses(b[8:24], b[24:40])
		return d.f, b[ipv6Len:], nil
	default:
		return Frame{}, nil, errors.New("no whole IP header")
	}
}
