package ping

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/vip/socket"
)

// responder answers echoes in a host's place, and not always truly.
type responder struct {
	fd     int
	forge  atomic.Pointer[func(answer []byte)]
	seen   atomic.Int64
	ending atomic.Bool
	done   chan struct{}
}

// respond has a host that is silent itself answer by hand. forge changes what
// follows the Ethernet header of each answer; its checksum is then made good.
func (w *world) respond(t *testing.T, n int) *responder {
	t.Helper()
	silence(t, w.hosts[n], true)
	r := &responder{done: make(chan struct{})}
	const ipv4 = 0x0008 // ETH_P_IP in network order
	index, err := w.hosts[n].Index("eth0")
	must(t, err)
	must(t, w.hosts[n].Do(func() (err error) {
		r.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, ipv4)
		return err
	}))
	must(t, unix.SetsockoptTimeval(r.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 20_000}))
	must(t, unix.Bind(r.fd, &unix.SockaddrLinklayer{Protocol: ipv4, Ifindex: index}))
	go r.run()
	t.Cleanup(func() {
		r.ending.Store(true)
		<-r.done
		unix.Close(r.fd)
	})
	return r
}

func (r *responder) run() {
	defer close(r.done)
	buf := make([]byte, 2048)
	for !r.ending.Load() {
		n, _, err := unix.Recvfrom(r.fd, buf, 0)
		const begin = 14 + 20
		if err != nil || n != begin+echoLength || buf[14] != 0x45 || buf[23] != 1 || buf[begin] != request4 {
			continue
		}
		answer := append([]byte(nil), buf[:n]...)
		copy(answer[0:6], buf[6:12])
		copy(answer[6:12], buf[0:6])
		copy(answer[26:30], buf[30:34])
		copy(answer[30:34], buf[26:30])
		answer[begin] = reply4
		if forge := r.forge.Load(); forge != nil {
			(*forge)(answer[14:])
		}
		repair(answer[14:34], 10)
		repair(answer[begin:], 2)
		_, _ = unix.Write(r.fd, answer)
		r.seen.Add(1)
	}
}

// repair makes the checksum at an offset good.
func repair(b []byte, at int) {
	b[at], b[at+1] = 0, 0
	binary.BigEndian.PutUint16(b[at:], ^sum(b))
}

func TestForgedAnswers(t *testing.T) {
	w := newWorld(t, 1)
	responder := w.respond(t, 0)
	forge := func(fn func(ip []byte)) { responder.forge.Store(&fn) }
	forge(func(ip []byte) { ip[20+8] ^= 1 })
	r := w.run(t, item("outside", host4(0)))
	for _, c := range []struct {
		name string
		fn   func(ip []byte)
	}{
		{"a nonce that is guessed", func(ip []byte) { ip[20+8] ^= 1 }},
		{"the end of the nonce", func(ip []byte) { ip[len(ip)-1] ^= 1 }},
		{"another sequence number", func(ip []byte) { ip[20+7]++ }},
		{"another id", func(ip []byte) { ip[20+5]++ }},
		{"another host", func(ip []byte) { ip[15] = 77 }},
		{"another type", func(ip []byte) { ip[20] = 14 }},
		{"a code", func(ip []byte) { ip[21] = 1 }},
	} {
		forge(c.fn)
		begin := responder.seen.Load()
		eventually(t, "some are sent: "+c.name, func() bool { return responder.seen.Load() >= begin+4 }, func() string { return "" })
		if s := r.Snapshot()[0]; s.Hosts[0].Answered != 0 {
			t.Fatalf("%s is taken for an answer: %+v", c.name, s)
		}
	}
	r.untilTold(t, "it fails", failed)
	forge(func([]byte) {})
	r.untilTold(t, "it answers", fine)
}

// Strangers' answers do not even come into the socket.
func TestFilter(t *testing.T) {
	w := newWorld(t, 1)
	responder := w.respond(t, 0)
	other := func(ip []byte) { ip[20+5]++ }
	responder.forge.Store(&other)
	m := w.prepare(t, item("outside", host4(0))).Monitor
	t.Cleanup(func() { must(t, m.end()) })
	// Held, so that nobody reads.
	m.mu.Lock()
	defer m.mu.Unlock()
	p, start := m.paths[0], time.Unix(1000, 0)
	m.stepPath(p, start)
	eventually(t, "it answers", func() bool { return responder.seen.Load() == 1 }, func() string { return "" })
	wrong := func(ip []byte) { ip[20+8] ^= 1 }
	responder.forge.Store(&wrong)
	m.stepPath(p, start.Add(time.Second))
	eventually(t, "an answer with our id comes in", func() bool { return waiting(t, p.socket) > 0 }, func() string { return "" })
	for range 2 {
		if _, err := p.socket.TryReceive(p.buf[:]); err != nil {
			return
		}
	}
	t.Error("an answer to another program came in, too")
}

// waiting is how many bytes of the first packet wait in a socket.
func waiting(t *testing.T, s *socket.Socket) (n int) {
	t.Helper()
	must(t, s.Set(socket.Custom("look", func(fd int) (err error) {
		n, err = unix.IoctlGetInt(fd, unix.SIOCINQ)
		return err
	})))
	return n
}

// Who was paused looks for answers before counting misses.
func TestPaused(t *testing.T) {
	for _, addr := range []netip.Addr{host4(0), host6(0)} {
		w := newWorld(t, 1)
		m := w.prepare(t, item("outside", addr)).Monitor
		t.Cleanup(func() { must(t, m.end()) })
		func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			p, start := m.paths[0], time.Unix(1000, 0)
			m.stepPath(p, start)
			eventually(t, "the answer is there", func() bool { return waiting(t, p.socket) > 0 }, func() string { return "" })
			m.stepPath(p, start.Add(time.Hour))
			if s := m.groups[0].status(); s.Hosts[0].Answered != 1 || s.Hosts[0].Lost != 0 {
				t.Errorf("after an hour: %+v", s)
			}
		}()
	}
}
