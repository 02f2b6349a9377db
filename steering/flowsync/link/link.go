// Package link has the sockets of flow sync: TCP between two addresses of the
// heartbeat link, on its interface and no other.
package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// unsent bounds what waits in the kernel behind what is on the wire: a change
	// must not stand in line behind a snapshot there.
	unsent = 128 << 10
	// userTimeout is how long the kernel waits for data to be acknowledged.
	userTimeout = 3 * time.Second
)

// Dial connects from an address of this node to a peer's, over the interface.
func Dial(ctx context.Context, iface string, local netip.Addr, peer netip.AddrPort) (net.Conn, error) {
	if err := check(iface, local); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", peer, err)
	}
	d := net.Dialer{
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0)),
		KeepAlive: -1,
		Control:   control(iface),
	}
	d.SetMultipathTCP(false)
	conn, err := d.DialContext(ctx, "tcp", peer.String())
	if err != nil {
		return nil, fmt.Errorf("connect over %s: %w", iface, err)
	}
	return conn, nil
}

// Listen takes connections to an address of this node that come in by the
// interface. Its Accept fails when the interface is no longer the one it was
// bound to.
func Listen(ctx context.Context, iface string, local netip.AddrPort) (net.Listener, error) {
	if err := check(iface, local.Addr()); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", local, err)
	}
	config := net.ListenConfig{Control: control(iface), KeepAlive: -1}
	config.SetMultipathTCP(false)
	l, err := config.Listen(ctx, "tcp", local.String())
	if err != nil {
		return nil, fmt.Errorf("listen on %s over %s: %w", local, iface, err)
	}
	bound := &listener{TCPListener: l.(*net.TCPListener), iface: iface}
	if bound.index, err = bound.lookup(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return bound, nil
}

func check(iface string, local netip.Addr) error {
	switch {
	case iface == "":
		return errors.New("no interface is given: name the heartbeat link's")
	case !local.IsValid() || local.IsUnspecified() || local.IsMulticast():
		return fmt.Errorf("%s is no address of one interface: give the heartbeat address", local)
	}
	return nil
}

func control(iface string) func(network, address string, raw syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) error {
		var err error
		if ctlErr := raw.Control(func(fd uintptr) { err = set(int(fd), iface) }); ctlErr != nil {
			return ctlErr
		}
		return err
	}
}

// set binds a socket before it has an address. Accepted ones take over what
// their listener has.
func set(fd int, iface string) error {
	if err := unix.BindToDevice(fd, iface); err != nil {
		return fmt.Errorf("bind to interface %q: %w", iface, err)
	}
	return errors.Join(
		os.NewSyscallError("set TCP_NOTSENT_LOWAT", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)),
		os.NewSyscallError("set TCP_USER_TIMEOUT", unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))))
}

// listener looks now and then whether its interface is still there: the kernel
// does not tell, and a socket bound to one that was made again hears nothing.
type listener struct {
	*net.TCPListener
	iface string
	index uint32
}

const lookAfter = 2 * time.Second

func (l *listener) Accept() (net.Conn, error) {
	for {
		if err := l.SetDeadline(time.Now().Add(lookAfter)); err != nil {
			return nil, err
		}
		conn, err := l.TCPListener.Accept()
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return conn, err
		}
		now, err := l.lookup()
		if err != nil {
			return nil, err
		}
		if now != l.index {
			return nil, fmt.Errorf("listen on %s: interface %q was made again", l.Addr(), l.iface)
		}
	}
}

// lookup asks by the socket itself, which knows its namespace.
func (l *listener) lookup() (uint32, error) {
	request, err := unix.NewIfreq(l.iface)
	if err != nil {
		return 0, fmt.Errorf("listen on %s: interface %q: %w", l.Addr(), l.iface, err)
	}
	raw, err := l.SyscallConn()
	if err != nil {
		return 0, err
	}
	ctlErr := raw.Control(func(fd uintptr) { err = unix.IoctlIfreq(int(fd), unix.SIOCGIFINDEX, request) })
	if err := errors.Join(ctlErr, err); err != nil {
		return 0, fmt.Errorf("listen on %s: find interface %q: %w", l.Addr(), l.iface, err)
	}
	return request.Uint32(), nil
}
