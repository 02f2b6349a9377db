// Package handover lets another process of this machine give the node the
// listening socket of a service in mode sshd: the kernel then hands it the
// connections to the VIP, whatever else listens on the port.
//
// The protocol is one exchange over a unix socket of type SOCK_SEQPACKET. The
// giver sends the service's name with one descriptor (SCM_RIGHTS); the node
// answers with "taken", or with why not. The giver keeps its socket and accepts
// from it: when it closes it, the service has no listener.
package handover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Limits of one exchange. Whoever talks has passed the credentials check, so
// they guard against mistakes.
const (
	maxName     = 255
	maxAnswer   = 1024
	exchangeIn  = 5 * time.Second
	socketMode  = 0o660
	networkName = "unixpacket"
	accepted    = "taken"
)

// A Taker makes f's socket the listener of a service. It must not keep f.
type Taker interface {
	SetListener(service string, f *os.File) error
}

// Server takes listeners.
type Server struct {
	listener *net.UnixListener
	taker    Taker
	log      *slog.Logger
}

// Listen makes the socket at path, in place of one that stands there.
func Listen(path string, taker Taker, log *slog.Logger) (*Server, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen on %q: %v", path, err)
	}
	l, err := net.ListenUnix(networkName, &net.UnixAddr{Name: path, Net: networkName})
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %v", path, err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %q: %v", path, err), l.Close())
	}
	return &Server{listener: l, taker: taker, log: log}, nil
}

// Serve answers one giver after the other until ctx is done, which is no error.
func (s *Server) Serve(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.listener.Close() })
	defer stop()
	for {
		conn, err := s.listener.AcceptUnix()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept listeners: %v", err)
		}
		if err := s.exchange(conn); err != nil {
			s.log.Warn("listener not taken", "error", err)
		}
	}
}

// exchange is short and gives no peer a second chance, so it needs no
// goroutine of its own.
func (s *Server) exchange(conn *net.UnixConn) error {
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(exchangeIn)); err != nil {
		return err
	}
	err := allowed(conn)
	if err == nil {
		err = s.take(conn)
	}
	answer := accepted
	if err != nil {
		answer = err.Error()
	}
	_, sent := conn.Write([]byte(answer)[:min(len(answer), maxAnswer)])
	return errors.Join(err, sent)
}

// allowed lets root and the node's own user through.
func allowed(conn *net.UnixConn) error {
	var cred *unix.Ucred
	err := control(conn, func(fd int) (err error) {
		cred, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		return err
	})
	if err != nil {
		return fmt.Errorf("check who gives a listener: %v", err)
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return fmt.Errorf("user id %d may not give listeners; do it as root or as user id %d", cred.Uid, os.Geteuid())
	}
	return nil
}

func (s *Server) take(conn *net.UnixConn) error {
	name, f, err := receive(conn)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := s.taker.SetListener(name, f); err != nil {
		return err
	}
	s.log.Info("listener taken", "service", name)
	return nil
}

// receive reads a name and exactly one descriptor.
func receive(conn *net.UnixConn) (string, *os.File, error) {
	data, control := make([]byte, maxName), make([]byte, unix.CmsgSpace(4))
	n, oobn, flags, _, err := conn.ReadMsgUnix(data, control)
	if err != nil {
		return "", nil, fmt.Errorf("read a listener: %v", err)
	}
	fds, err := descriptors(control[:oobn])
	if err != nil || len(fds) != 1 || n == 0 || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return "", nil, fmt.Errorf("read a listener: one message with a service's name and one descriptor is expected")
	}
	return string(data[:n]), os.NewFile(uintptr(fds[0]), "listener"), nil
}

func descriptors(control []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, err
	}
	var fds []int
	for _, m := range messages {
		more, err := unix.ParseUnixRights(&m)
		if err != nil {
			return fds, err
		}
		fds = append(fds, more...)
	}
	return fds, nil
}

func control(conn *net.UnixConn, fn func(fd int) error) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = fn(int(fd)) }); err != nil {
		return err
	}
	return inner
}
