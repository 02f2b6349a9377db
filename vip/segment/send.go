package segment

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"sluice/vip/socket"
)

// openGroup opens what multicast needs: a socket that hears the group, and one
// that sends frames, since IP sockets cannot send from the virtual MAC.
func (s *Segment) openGroup() error {
	if !s.link.Ethernet {
		return fmt.Errorf("its frames are not Ethernet's, so none can be sent from a virtual MAC: name the peers, or use another interface: %w", unix.EINVAL)
	}
	if s.options.MAC == nil {
		s.options.MAC = s.link.MAC
	}
	var err error
	options := append(socket.Received(s.domain()), socket.Join(s.link, group(s.options.Family)))
	if s.ip, err = s.openIP(options); err != nil {
		return err
	}
	frames := socket.Kind{Domain: unix.AF_PACKET, Type: unix.SOCK_RAW}
	s.wire, err = socket.Open(frames, s.link, socket.Priority())
	return err
}

// openPeers opens the one socket that unicast needs.
func (s *Segment) openPeers() error {
	if slices.Contains(s.options.Peers, s.source) {
		return fmt.Errorf("peer %s is our own address", s.source)
	}
	options := append(socket.Received(s.domain()), socket.Control(s.domain())...)
	options = append(options, socket.TTL(s.domain(), s.options.TTL))
	options = append(options, socket.Bound(s.link, netip.AddrPortFrom(s.source, 0))...)
	var err error
	s.ip, err = s.openIP(options)
	return err
}

func (s *Segment) openIP(options []socket.Option) (*socket.Socket, error) {
	return socket.Open(socket.Kind{Domain: s.domain(), Type: unix.SOCK_RAW, Protocol: protocol}, s.link, options...)
}

// Send sends an advert to one of Destinations. It never waits; what cannot be
// sent now is lost. The error has in its chain:
//   - [ErrReopen] where the interface or the source address is gone;
//   - ENETDOWN while the link is down or has no carrier;
//   - EMSGSIZE where the payload is larger than the interface's MTU allows;
//   - EAGAIN or ENOBUFS where the kernel's queue is full.
//
// All but the first may pass by themselves.
func (s *Segment) Send(to netip.Addr, payload []byte) error {
	if !slices.Contains(s.Destinations(), to) {
		return fmt.Errorf("send to %s on interface %q: it is neither the group in use nor a peer", to, s.options.Interface)
	}
	err := s.Err()
	if err != nil {
		return fmt.Errorf("send to %s: %w", to, err)
	}
	if s.multicast() {
		err = s.sendFrame(payload)
	} else {
		err = s.ip.Send(payload, socket.Sockaddr(s.link, netip.AddrPortFrom(to, 0)))
	}
	return explain(err, to, s.options.Interface, len(payload))
}

// sendFrame sends an advert to the group.
func (s *Segment) sendFrame(payload []byte) error {
	to := group(s.options.Family)
	frame, err := header{mac: s.options.MAC, from: s.source, to: to, ttl: s.options.TTL, protocol: protocol}.frame(payload)
	if err != nil {
		return err
	}
	return s.wire.Send(frame, linkAddr(s.link, to))
}

// explain says of an error what was sent where, and adds what it leads to.
func explain(err error, to fmt.Stringer, name string, size int) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("send to %s: interface %q is gone: %w: %w", to, name, err, ErrReopen)
	case errors.Is(err, unix.EMSGSIZE):
		return fmt.Errorf("send to %s on interface %q: %d bytes: %w: raise the MTU or send less", to, name, size, err)
	}
	return fmt.Errorf("send to %s on interface %q: %w", to, name, err)
}
