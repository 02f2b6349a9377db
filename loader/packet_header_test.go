package loader

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/pires/go-proxyproto"

	"sluice/internal/nettest/frame"
)

// header is what a test knows of the PROXY header of a connection: a model of
// what the program does, written by the rules and not by its code.
type header struct {
	isn uint32
	// open lasts from the SYN until the backend acknowledges the header.
	open bool
	// got says that the backend has received it, acknowledged or not.
	got bool
}

// headerBytes are those of the header of a connection from isn.
func (c *talk) headerBytes(isn uint32) []byte {
	h := proxyproto.HeaderProxyFromAddrs(2, net.TCPAddrFromAddrPort(c.client), net.TCPAddrFromAddrPort(c.svc.Listen))
	id := c.d.key.connection(c.client, c.d.key.salt(c.svc.Listen), isn)
	err := h.SetTLVs([]proxyproto.TLV{
		{Type: proxyproto.PP2_TYPE_UNIQUE_ID, Value: id[:]},
		{Type: proxyproto.PP2_TYPE_NOOP, Value: []byte{0, 0}},
	})
	if err != nil {
		panic(err)
	}
	b, err := h.Format()
	if err != nil {
		panic(err)
	}
	return b
}

// headerLen is the length of a header: a multiple of 4.
func headerLen(client netip.AddrPort) uint32 {
	if client.Addr().Is4() {
		return 52
	}
	return 76
}

// ipAndTCP is the length of both headers without options.
func ipAndTCP(client netip.AddrPort) int {
	if client.Addr().Is4() {
		return 40
	}
	return 60
}

// connectionID is what events and flows show of the connection.
func (c *talk) connectionID() ConnectionID {
	if !c.svc.Proxy {
		return ConnectionID{}
	}
	return c.d.key.connection(c.client, c.d.key.salt(c.svc.Listen), c.header.isn)
}

// headers are the connection's own and, while both live, its predecessor's.
func (c *talk) headers() []*header { return []*header{&c.header, &c.former} }

// carries is the header that a client's frame is given, nil if none.
func (c *talk) carries(f frame.Frame) *header {
	for _, h := range c.headers() {
		if h.open && f.Flags&(frame.SYN|frame.RST) == 0 && f.Seq-h.isn <= 1 {
			return h
		}
	}
	return nil
}

// withHeader is what the header makes of a client's frame.
func (c *talk) withHeader(f frame.Frame) frame.Frame {
	length := headerLen(c.client)
	if f.Flags&frame.SYN != 0 {
		if !c.svc.Proxy {
			return f
		}
		f = alone(f)
		f.Seq -= length
		return f
	}
	for _, h := range c.headers() {
		if h.open && f.Flags&frame.RST != 0 && f.Seq == h.isn+1 {
			f.Seq -= length
		}
	}
	h := c.carries(f)
	if h == nil {
		return f
	}
	size := ipAndTCP(c.client) + len(f.Options) + len(f.Payload) + int(length)
	if f.Seq == h.isn || size > int(c.hops[c.to.NextHop].MTU) {
		f = alone(f)
	} else if f.Flags&frame.URG != 0 {
		f.Urgent += uint16(length)
	}
	f.Seq = h.isn + 1 - length
	f.Payload = append(c.headerBytes(h.isn), f.Payload...)
	if f.Length > 0 {
		f.Length += int(length)
	}
	return f
}

// alone is a frame without its payload and what counts from its end.
func alone(f frame.Frame) frame.Frame {
	f.Flags &^= frame.FIN | frame.URG
	f.Urgent, f.Payload, f.Length = 0, nil, 0
	return f
}

// withoutHeader is what the header makes of a backend's frame.
func (c *talk) withoutHeader(f frame.Frame) frame.Frame {
	length := headerLen(c.client)
	for _, h := range c.headers() {
		if !h.open || f.Flags&frame.ACK == 0 || f.Ack-(h.isn+1-length) >= 1<<16 {
			continue
		}
		if f.Flags&frame.SYN != 0 {
			f.Options = lowerMSS(f.Options, int(c.hops[c.to.NextHop].MTU)-ipAndTCP(c.client), int(length))
		}
		if f.Ack-(h.isn+1-length) < length {
			f.Ack = h.isn + 1
		}
		return f
	}
	return f
}

// lowerMSS takes the one option tests use, wherever it stands.
func lowerMSS(options []byte, room, reserve int) []byte {
	at := bytes.Index(options, []byte{2, 4})
	if at < 0 {
		return options
	}
	options = bytes.Clone(options)
	mss := min(int(binary.BigEndian.Uint16(options[at+2:])), room) - reserve
	binary.BigEndian.PutUint16(options[at+2:], uint16(mss))
	return options
}

// note keeps the model of the header after a frame went on.
func (c *talk) note(from side, f frame.Frame, established bool) {
	if !c.svc.Proxy {
		return
	}
	if from == fromClient {
		if h := c.carries(f); h != nil {
			h.got = true
		}
		if f.Flags&frame.SYN != 0 && f.Seq == c.up.isn && c.header.isn != f.Seq {
			c.former, c.header = c.header, header{isn: f.Seq, open: true}
		}
		return
	}
	for _, h := range c.headers() {
		if established && f.Flags&frame.ACK != 0 && f.Ack-(h.isn+1) < 1<<17 {
			h.open = false
		}
	}
}

// hears is the number up to which the backend has heard the client.
func (c *talk) hears(flags frame.Flags, next uint32) uint32 {
	if !c.svc.Proxy || c.header.got && flags&frame.SYN == 0 {
		return next
	}
	return c.up.isn + 1 - headerLen(c.client)
}
