// Package socket opens the sockets of the failover daemon: each belongs to one
// interface, never blocks a sender, and tells of every packet by which interface
// and with which TTL it came. It also watches the interface, since the kernel
// tells a socket neither that its interface went away nor that its address did.
//
// All is opened in the network namespace of the calling thread and stays there.
package socket

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Kind is what a socket speaks.
type Kind struct {
	// Domain is AF_INET, AF_INET6, AF_PACKET or AF_NETLINK; the first two are
	// bound to the interface.
	Domain int
	// Type is SOCK_RAW or SOCK_DGRAM.
	Type int
	// Protocol is the IP protocol; 0 with AF_PACKET receives nothing.
	Protocol int
}

// raw4 says that what is read begins with an IPv4 header.
func (k Kind) raw4() bool { return k.Domain == unix.AF_INET && k.Type == unix.SOCK_RAW }

// Socket is an open socket of one interface. Its methods may be used from
// several goroutines at once.
type Socket struct {
	kind Kind
	link Link
	file *os.File
	raw  syscall.RawConn
}

// ReceiveBuffer is how many bytes of packets, as the kernel counts them, may
// wait in a socket: a flood costs no more memory than this.
const ReceiveBuffer = 256 << 10

// Open opens a socket bound to the interface and sets the options in order.
// Nothing is left open when one fails. Raw and packet sockets need CAP_NET_RAW.
func Open(kind Kind, link Link, options ...Option) (*Socket, error) {
	fd, err := unix.Socket(kind.Domain, kind.Type|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, kind.Protocol)
	if errors.Is(err, unix.EPERM) {
		return nil, fmt.Errorf("open socket on interface %q: %w; CAP_NET_RAW is needed", link.Name, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open socket on interface %q: %w", link.Name, err)
	}
	if kind.Domain == unix.AF_INET || kind.Domain == unix.AF_INET6 {
		options = append([]Option{toDevice(link)}, options...)
	}
	for _, o := range options {
		if err := o.set(fd); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("set %s of a socket on interface %q: %w", o.name, link.Name, err)
		}
	}
	file := os.NewFile(uintptr(fd), "socket on "+link.Name)
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("watch socket on interface %q: %w", link.Name, err), file.Close())
	}
	return &Socket{kind: kind, link: link, file: file, raw: raw}, nil
}

// Link is the interface as it was when the socket was opened.
func (s *Socket) Link() Link { return s.link }

// Set sets an option of the open socket.
func (s *Socket) Set(o Option) error {
	var err error
	if controlErr := s.raw.Control(func(fd uintptr) { err = o.set(int(fd)) }); controlErr != nil {
		err = ended(controlErr)
	}
	if err != nil {
		return fmt.Errorf("set %s of a socket on interface %q: %w", o.name, s.link.Name, err)
	}
	return nil
}

// Send sends without ever waiting: where the kernel has no room it is EAGAIN or
// ENOBUFS, and the packet is lost.
func (s *Socket) Send(packet []byte, to unix.Sockaddr) error {
	var err error
	controlErr := s.raw.Control(func(fd uintptr) {
		for {
			err = unix.Sendto(int(fd), packet, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, to)
			if !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	if controlErr != nil {
		return ended(controlErr)
	}
	return err
}

// Close ends all waiting. A second Close is an error, as that of an [os.File].
func (s *Socket) Close() error { return s.file.Close() }
