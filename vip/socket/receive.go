package socket

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Message is a packet as it came. What the kernel did not tell is zero.
type Message struct {
	// Payload is what follows the IP header, or the UDP header; it lies in the
	// buffer that was given.
	Payload []byte
	// From is who sent it, as the packet claims. The port is 0 of raw sockets.
	// The zone is empty: it would be the interface.
	From netip.AddrPort
	// To is the destination, ours or a group's.
	To netip.Addr
	// TTL is the TTL or hop limit that was left, 0 to 255.
	TTL int
	// Index is the interface by which it came.
	Index int
}

// ErrOdd marks a packet that is not handed out: larger than the buffer, or with
// an IP header that lies.
var ErrOdd = errors.New("packet is larger than the buffer or malformed")

// Wait calls fn at once and each time something may have arrived, until fn
// returns true. It returns [os.ErrClosed] after Close.
func (s *Socket) Wait(fn func() bool) error {
	return ended(s.raw.Read(func(uintptr) bool { return fn() }))
}

// ended gives the error of a socket that cannot be used any more a name: the
// runtime's own has none.
func ended(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %v", os.ErrClosed, err)
}

// Receive waits for a packet. [ErrOdd] is a packet that was dropped,
// [os.ErrClosed] the end; any other error passes.
func (s *Socket) Receive(buf []byte) (Message, error) {
	var m Message
	var err error
	waitErr := s.Wait(func() bool {
		m, err = s.TryReceive(buf)
		return !errors.Is(err, unix.EAGAIN)
	})
	if waitErr != nil {
		return Message{}, waitErr
	}
	return m, err
}

// Serve hands packets of at most size bytes to hear, one after the other, until
// Close; for each that cannot be handed out it calls odd.
func (s *Socket) Serve(size int, hear func(Message), odd func()) {
	buf := make([]byte, size)
	for {
		m, err := s.Receive(buf)
		switch {
		case errors.Is(err, os.ErrClosed):
			return
		case err != nil:
			odd()
		default:
			hear(m)
		}
	}
}

// TryReceive returns a packet that has arrived already, or EAGAIN.
func (s *Socket) TryReceive(buf []byte) (Message, error) {
	var m Message
	var err error
	controlErr := s.raw.Control(func(fd uintptr) {
		for {
			m, err = s.receive(int(fd), buf)
			if !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	if controlErr != nil {
		return Message{}, ended(controlErr)
	}
	return m, err
}

func (s *Socket) receive(fd int, buf []byte) (Message, error) {
	var oob [128]byte
	n, oobn, flags, from, err := unix.Recvmsg(fd, buf, oob[:], unix.MSG_DONTWAIT)
	if err != nil {
		return Message{}, err
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		return Message{}, ErrOdd
	}
	m := Message{Payload: buf[:n], From: addrPort(from)}
	if err := m.control(oob[:oobn]); err != nil {
		return Message{}, err
	}
	if s.kind.raw4() {
		return m, m.cutIPv4()
	}
	return m, nil
}

// cutIPv4 removes the header that raw IPv4 sockets are given. The kernel has
// checked it, and has cut what follows the IP packet.
func (m *Message) cutIPv4() error {
	if len(m.Payload) < 20 {
		return ErrOdd
	}
	length := int(m.Payload[0]&0xf) * 4
	if m.Payload[0]>>4 != 4 || length < 20 || length > len(m.Payload) {
		return ErrOdd
	}
	m.TTL = int(m.Payload[8])
	m.To = netip.AddrFrom4([4]byte(m.Payload[16:20]))
	m.Payload = m.Payload[length:]
	return nil
}

// control reads what the kernel tells beside the packet.
func (m *Message) control(oob []byte) error {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return ErrOdd
	}
	for _, c := range messages {
		switch level, kind, data := c.Header.Level, c.Header.Type, c.Data; {
		case level == unix.IPPROTO_IP && kind == unix.IP_PKTINFO && len(data) >= 12:
			m.Index = int(binary.NativeEndian.Uint32(data))
			m.To = netip.AddrFrom4([4]byte(data[8:12]))
		case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_PKTINFO && len(data) >= 20:
			m.To = netip.AddrFrom16([16]byte(data[:16]))
			m.Index = int(binary.NativeEndian.Uint32(data[16:]))
		case level == unix.IPPROTO_IP && kind == unix.IP_TTL && len(data) >= 4,
			level == unix.IPPROTO_IPV6 && kind == unix.IPV6_HOPLIMIT && len(data) >= 4:
			m.TTL = int(binary.NativeEndian.Uint32(data))
		}
	}
	return nil
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
