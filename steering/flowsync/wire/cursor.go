package wire

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

var errShort = errors.New("it ends too early")

// cursor reads from the front of a slice. After the first failure it returns
// zeros, and err says what failed.
type cursor struct {
	rest []byte
	err  error
}

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.rest = nil
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.rest) {
		c.fail(errShort)
		return nil
	}
	taken := c.rest[:n]
	c.rest = c.rest[n:]
	return taken
}

func (c *cursor) u8() uint8 {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// addrPort reads an address of size bytes and a port.
func (c *cursor) addrPort(size int) netip.AddrPort {
	addr, ok := netip.AddrFromSlice(c.take(size))
	port := c.u16()
	switch {
	case c.err != nil:
		return netip.AddrPort{}
	case !ok || addr.Is4In6():
		c.fail(errors.New("an IPv4 address is written as IPv6"))
		return netip.AddrPort{}
	case port == 0 || addr.IsUnspecified() || addr.IsMulticast():
		c.fail(errors.New("no connection has such an address and port"))
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, port)
}

func appendAddrPort(b []byte, a netip.AddrPort) []byte {
	b = append(b, a.Addr().AsSlice()...)
	return binary.BigEndian.AppendUint16(b, a.Port())
}
