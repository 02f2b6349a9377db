package loader_test

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// reuseCases begin again on a tuple, or a source port, of before.
var reuseCases = map[string]proxyCase{
	"port reused at once after the client's reset": {talk: reuse(proxyServer{}, resets, nil)},
	"port reused after the client's FIN":           {prepare: reuseTimeWait, talk: reuse(proxyServer{}, closes, nil)},
	"port reused at once after the server's FIN": {server: proxyServer{closes: true},
		talk: reuse(proxyServer{closes: true}, closes, inTimeWait)},
	"port reused with a pool of one port, TIME_WAIT of the backend": {server: proxyServer{closes: true},
		prepare: onePort, talk: reuse(proxyServer{closes: true}, closes, forgotten)},
	"pool port in TIME_WAIT of the backend taken by another client": {server: proxyServer{closes: true},
		prepare: onePort, talk: talkOtherClient},
}

// reuseTimeWait lets the client take a port that is in its TIME_WAIT, which
// Linux does when a second has passed.
func reuseTimeWait(t *testing.T, w *proxyWorld) {
	sysctls(t, w.Client, "net/ipv4/tcp_tw_reuse=1")
}

// onePort leaves one source port towards the backend.
func onePort(t *testing.T, w *proxyWorld) { must(t, w.dp.SetPorts(2000, 2000, 0, 0)) }

// reusable lets a socket take a port whose last connection is not quite over.
func reusable(_, _ string, c syscall.RawConn) (err error) {
	return errors.Join(c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}), err)
}

func resets(t *testing.T, c net.Conn) {
	must(t, c.(*net.TCPConn).SetLinger(0))
	must(t, c.Close())
}

func closes(t *testing.T, c net.Conn) { must(t, c.Close()) }

// inTimeWait waits until the backend's end is there.
func inTimeWait(t *testing.T, w *proxyWorld) {
	eventually(t, "the backend's end is in TIME_WAIT", func() bool {
		return sockets(t, w.backend().Namespace, testPort)[tcpTimeWait] > 0
	})
}

// forgotten lets the flow's lifetime pass, so that its source port is free, while
// the backend's end is in TIME_WAIT.
func forgotten(t *testing.T, w *proxyWorld) {
	inTimeWait(t, w)
	must(t, w.dp.Age(24*time.Hour))
	if n, err := w.dp.Expire(t.Context()); err != nil || n != 2 {
		t.Fatalf("%d entries were freed: %v", n, err)
	}
}

// reuse connects again and again from one port of the client's. Each time the
// header is a new one.
func reuse(p proxyServer, end func(*testing.T, net.Conn), between func(*testing.T, *proxyWorld)) func(*testing.T, *proxyWorld) {
	return func(t *testing.T, w *proxyWorld) {
		ids := map[string]bool{}
		for range 3 {
			c := w.connectFrom(t, 40001)
			banner(t, c)
			id := w.headerOf(t, client(c))
			if ids[id] {
				t.Errorf("the connection id %s came twice", id)
			}
			ids[id] = true
			if p.closes {
				drains(t, c)
			} else {
				exchangeRandom(t, c, 10_000)
			}
			end(t, c)
			if between != nil {
				between(t, w)
			}
		}
	}
}

// connectFrom connects from a port as soon as the client's kernel has it free.
func (w *proxyWorld) connectFrom(t *testing.T, port int) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{Port: port}, Control: reusable}
	var c net.Conn
	inTicks(t, "the port is free", func() bool {
		var err error
		c, err = w.dialBy(t, d)
		if err != nil && !errors.Is(err, syscall.EADDRNOTAVAIL) && !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatal(err)
		}
		return err == nil
	})
	t.Cleanup(func() { c.Close() })
	must(t, c.SetDeadline(time.Now().Add(patience)))
	return c
}

// talkOtherClient: the flow is over for us, and its source port goes to another
// client, while the backend still waits on it.
func talkOtherClient(t *testing.T, w *proxyWorld) {
	sources := map[netip.AddrPort]bool{}
	for port := range 4 {
		c := w.connectFrom(t, 40001+port)
		banner(t, c)
		w.headerOf(t, client(c))
		f, _ := find(t, w.dp, client(c))
		sources[f.Source] = true
		drains(t, c)
		must(t, c.Close())
		forgotten(t, w)
	}
	if len(sources) != 1 {
		t.Errorf("the flows came from %v, want one source", sources)
	}
}
