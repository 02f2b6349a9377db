package ping

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"sluice/vip/socket"
)

// path is an interface and family by which hosts are asked. Its socket is opened
// when first needed, and again after the interface was made anew.
type path struct {
	name   string
	domain int
	hosts  []member
	heard  func()

	socket *socket.Socket
	watch  *socket.Watch
	// id tells answers to this socket from those to other programs.
	id  uint16
	seq uint16
	// buf is for what is received; an answer is shorter.
	buf [256]byte
}

// member is a host and the group that it is in.
type member struct {
	*host
	group *group
}

// open opens the socket in the namespace of the calling thread.
func (p *path) open() error {
	link, err := socket.FindLink(p.name)
	if err != nil {
		return err
	}
	var id [2]byte
	_, _ = rand.Read(id[:])
	p.id = binary.BigEndian.Uint16(id[:])
	protocol := unix.IPPROTO_ICMP
	if p.domain == unix.AF_INET6 {
		protocol = unix.IPPROTO_ICMPV6
	}
	program := filter(p.domain, p.id)
	attach := socket.Custom("SO_ATTACH_FILTER", func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	})
	options := append([]socket.Option{attach, socket.Priority()}, socket.Received(p.domain)...)
	kind := socket.Kind{Domain: p.domain, Type: unix.SOCK_RAW, Protocol: protocol}
	opened, err := socket.Open(kind, link, options...)
	if err != nil {
		return err
	}
	watch, err := socket.NewWatch(link, netip.Addr{}, nil)
	if err != nil {
		return errors.Join(err, opened.Close())
	}
	p.socket, p.watch = opened, watch
	return nil
}

// detach takes the socket and its watch away, for who closes them: not while a
// reader may wait for the lock, since closing waits for readers.
func (p *path) detach() []io.Closer {
	var open []io.Closer
	if p.watch != nil {
		open = append(open, p.watch)
	}
	if p.socket != nil {
		open = append(open, p.socket)
	}
	p.watch, p.socket = nil, nil
	return open
}

// stale says that the socket is of an interface that is no more.
func (p *path) stale() bool { return p.watch != nil && errors.Is(p.watch.Err(), socket.ErrReopen) }

// ask sends an echo to a host.
func (p *path) ask(h *host, now time.Time) error {
	p.seq++
	e := newEcho(p.seq)
	h.send(now, e)
	if p.socket == nil {
		return fmt.Errorf("interface %q has no socket", p.name)
	}
	if err := p.watch.Err(); err != nil {
		return err
	}
	if err := p.socket.Send(request(h.addr, p.id, e), p.to(h.addr)); err != nil {
		return fmt.Errorf("send an echo to %s on interface %q: %w", h.addr, p.name, err)
	}
	return nil
}

// drain takes in what has arrived, at most so much that others get their turn;
// more says that something may be left.
func (p *path) drain(s *socket.Socket, now time.Time) (changed, more bool) {
	for range 128 {
		m, err := s.TryReceive(p.buf[:])
		if errors.Is(err, unix.EAGAIN) {
			return changed, false
		}
		if err == nil && p.hear(s, m, now) {
			changed = true
		}
	}
	return changed, true
}

// hear takes an answer from a host, by the interface.
func (p *path) hear(s *socket.Socket, m socket.Message, now time.Time) (changed bool) {
	e, ok := reply(m.Payload, p.domain, p.id)
	if !ok || m.Index != s.Link().Index {
		return false
	}
	for _, h := range p.hosts {
		if h.addr != m.From.Addr() || !h.under && len(h.probes) == 0 {
			continue
		}
		if h.answers(e) || h.under && e == h.echo {
			p.heard()
		}
		if h.hear(now, e) {
			h.group.judge(now)
			changed = true
		}
	}
	return changed
}
