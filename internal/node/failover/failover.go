// Package failover joins the node process and the vip process of a machine: what
// the one tells the other, over a unix socket beside the control socket, and the
// owner words of the dataplane as the election sees them.
//
// The vip process listens, because it lives on while nodes come and go; what it
// last heard it keeps. That a node is connected says that it lives.
package failover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/rpc"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/control"
	"sluice/internal/node/process"
	"sluice/loader"
	"sluice/vip"
	"sluice/vip/address"
)

// service is the name of the calls.
const service = "VIP"

// Run is the vip process: it holds the elections until ctx ends. Where the cause of
// that is process.ErrResign it gives its VIPs up, otherwise it leaves all as it is
// for a successor. ready is called once it can be spoken to.
func Run(ctx context.Context, b process.VIPBoot, log *slog.Logger, ready func()) error {
	if err := os.MkdirAll(b.State, 0o700); err != nil {
		return fmt.Errorf("use node.data_dir: %v", err)
	}
	words := &owners{pins: b.Pins}
	defer words.close()
	d, err := vip.New(vip.Options{Owners: words, Directory: b.State, Runtime: filepath.Dir(b.Socket), Start: process.StartPlain, Log: log})
	if err != nil {
		return err
	}
	l, err := control.Listen(b.Socket)
	if err != nil {
		return err
	}
	s := &server{daemon: d, log: log}
	var serving sync.WaitGroup
	serving.Go(func() { s.serve(l) })
	ready()
	err = d.Run(ctx, func() bool { return errors.Is(context.Cause(ctx), process.ErrResign) })
	err = errors.Join(err, l.Close())
	s.hangUp()
	serving.Wait()
	return err
}

// owners are the owner words as the election sees them. The dataplane may be
// removed and made again meanwhile.
type owners struct {
	pins string

	mu    sync.Mutex
	words *loader.Owners
}

func (o *owners) with(f func(*loader.Owners) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for again := range 2 {
		var err error
		if o.words == nil {
			if o.words, err = loader.OpenOwners(o.pins); err != nil {
				o.words = nil
				return err
			}
		} else if again > 0 {
			err = o.words.Reopen()
		}
		if err == nil {
			err = f(o.words)
		}
		if again > 0 || !errors.Is(err, loader.ErrDataplaneGone) {
			return err
		}
	}
	return nil
}

// Set implements [vip.Owners].
func (o *owners) Set(vips []netip.Addr, active bool, until time.Duration) error {
	err := o.with(func(w *loader.Owners) error { return w.Set(vips, active, until) })
	if errors.Is(err, loader.ErrNoWord) {
		return wordless{err}
	}
	return err
}

// wordless is an error of the dataplane that the election knows by another name.
type wordless struct{ error }

// Is implements what [errors.Is] asks.
func (wordless) Is(target error) bool { return target == vip.ErrNoWord }

// Open implements [vip.Owners].
func (o *owners) Open(vips []netip.Addr) (until time.Duration, open bool, err error) {
	now := vip.Monotonic()
	err = o.with(func(w *loader.Owners) error {
		open, until = len(vips) > 0, 0
		for _, a := range vips {
			active, end, err := w.State(a)
			if err != nil {
				return err
			}
			open = open && active && (end == 0 || end > now)
			if end != 0 && (until == 0 || end < until) {
				until = end
			}
		}
		return nil
	})
	return until, open && err == nil, err
}

func (o *owners) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.words != nil {
		_ = o.words.Close()
	}
}

// server answers nodes.
type server struct {
	daemon *vip.Daemon
	log    *slog.Logger

	mu    sync.Mutex
	conns map[net.Conn]bool
	ended bool
}

func (s *server) serve(l net.Listener) {
	calls := rpc.NewServer()
	if err := calls.RegisterName(service, &receiver{s.daemon}); err != nil {
		panic("failover: " + err.Error()) // a fault of the methods below
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.log.Warn("a node could not connect", "error", err)
			time.Sleep(100 * time.Millisecond) // out of descriptors, most likely
			continue
		}
		if err := checkPeer(conn); err != nil {
			s.log.Warn("refused to speak to a process", "error", err)
			_ = conn.Close()
			continue
		}
		serving.Go(func() {
			if s.note(conn) {
				calls.ServeConn(conn)
			}
			s.forget(conn)
		})
	}
}

// note says whether a connection may be served.
func (s *server) note(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	if s.conns == nil {
		s.conns = map[net.Conn]bool{}
	}
	s.conns[c] = true
	s.daemon.Connected(true)
	return true
}

func (s *server) forget(c net.Conn) {
	_ = c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if len(s.conns) == 0 {
		s.daemon.Connected(false)
	}
}

func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for c := range s.conns {
		_ = c.Close()
	}
}

// checkPeer lets root and this process's own user speak: who may order the VIPs
// about owns the gateway.
func checkPeer(c net.Conn) error {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return errors.New("it is not on a unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("ask who it is: %v", failed)
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return fmt.Errorf("process %d is of user %d", cred.Pid, cred.Uid)
	}
	return nil
}

// Sweep removes the VIPs and interfaces of virtual clusters that a vip process left,
// for when none follows.
func Sweep(log *slog.Logger) error {
	h, err := address.Open()
	if err != nil {
		return err
	}
	swept, err := h.Sweep()
	if len(swept) > 0 {
		log.Info("VIPs given up", "removed", swept)
	}
	return errors.Join(err, h.Close())
}
