package segment

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lan is the interface of every host in a world.
const lan = "lan0"

// world is a switch with hosts on it.
type world struct {
	exchange *nettest.Namespace
	hosts    []*nettest.Namespace
}

// newWorld makes n hosts: the first has 10.9.0.1, fd09::1 and a link-local
// address, and so on.
func newWorld(t *testing.T, n int) *world {
	t.Helper()
	exchange := nettest.ForTest(t)
	must(t, exchange.Bridge("br0"))
	w := &world{exchange: exchange}
	for i := range n {
		host, port := nettest.ForTest(t), fmt.Sprintf("p%d", i)
		must(t, nettest.Veth(exchange, port, host, lan))
		must(t, exchange.Plug("br0", port))
		must(t, host.AddAddr(lan, netip.PrefixFrom(own4(i), 24)))
		must(t, host.AddAddr(lan, netip.PrefixFrom(own6(i), 64)))
		w.hosts = append(w.hosts, host)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, host := range append(w.hosts, exchange) {
		must(t, host.Settled(ctx))
	}
	return w
}

func own4(host int) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, 0, byte(host + 1)}) }
func own6(host int) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x09, 15: byte(host + 1)})
}

func own(family, host int) netip.Addr {
	if family == 4 {
		return own4(host)
	}
	return own6(host)
}

// gateway is an open segment and what it hears.
type gateway struct {
	*Segment
	heard chan Packet
}

// open opens a segment on a host; it is closed when the test ends.
func (w *world) open(t *testing.T, host int, o Options) *gateway {
	t.Helper()
	g, err := w.tryOpen(host, o)
	must(t, err)
	t.Cleanup(func() { must(t, g.Close()) })
	return g
}

func (w *world) tryOpen(host int, o Options) (*gateway, error) {
	g := &gateway{heard: make(chan Packet, 256)}
	o.Interface = lan
	o.Receive = func(p Packet) { offer(g.heard, p) }
	err := w.hosts[host].Do(func() (err error) {
		g.Segment, err = Open(o)
		return err
	})
	return g, err
}

// send sends a payload to all destinations.
func (g *gateway) send(t *testing.T, payload string) {
	t.Helper()
	for _, to := range g.Destinations() {
		must(t, g.Send(to, []byte(payload)))
	}
}

// sendUntil sends until something is heard, over a link that is coming up.
func (g *gateway) sendUntil(t *testing.T, payload string, heard chan Packet) Packet {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		err := g.Send(g.Destinations()[0], []byte(payload))
		select {
		case p := <-heard:
			return p
		case <-time.After(20 * time.Millisecond):
			if err != nil && !errors.Is(err, unix.ENETDOWN) && !errors.Is(err, unix.EADDRNOTAVAIL) {
				t.Fatal(err)
			}
		}
	}
	t.Fatalf("nothing was heard; the sender says %v", g.Err())
	return Packet{}
}

// offer hands on what came, unless nobody has listened for long.
func offer[T any](heard chan<- T, p T) {
	select {
	case heard <- p:
	default:
	}
}

// hear returns the next thing that comes.
func hear[T any](t *testing.T, heard <-chan T) T {
	t.Helper()
	select {
	case p := <-heard:
		return p
	case <-time.After(5 * time.Second):
		t.Fatal("nothing was heard")
		panic("not reached")
	}
}

// packetSocket opens an AF_PACKET socket on a host's link that gives up after
// five seconds.
func (w *world) packetSocket(t *testing.T, host int) (fd int) {
	t.Helper()
	index, err := w.hosts[host].Index(lan)
	must(t, err)
	const all = 0x0300 // ETH_P_ALL in network order
	must(t, w.hosts[host].Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all)
		return err
	}))
	t.Cleanup(func() { unix.Close(fd) })
	must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))
	must(t, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}))
	return fd
}

// capture returns the next frame from a MAC.
func capture(t *testing.T, fd int, from net.HardwareAddr) []byte {
	t.Helper()
	buf := make([]byte, 2048)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			t.Fatalf("no frame from %s: %v", from, err)
		}
		if n >= 14 && string(buf[6:12]) == string(from) {
			return buf[:n]
		}
	}
}

// inject sends a frame as it is.
func (w *world) inject(t *testing.T, host int, frame []byte) {
	t.Helper()
	_, err := unix.Write(w.packetSocket(t, host), frame)
	must(t, err)
}

func (w *world) mac(t *testing.T, host int) net.HardwareAddr {
	t.Helper()
	mac, err := w.hosts[host].MAC(lan)
	must(t, err)
	return mac
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually fails the test unless cond becomes true soon.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// each runs a test for both families.
func each(t *testing.T, fn func(t *testing.T, family int)) {
	for _, family := range []int{4, 6} {
		t.Run(fmt.Sprintf("v%d", family), func(t *testing.T) { fn(t, family) })
	}
}
