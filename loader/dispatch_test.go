package loader_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
	"sluice/internal/nettest/sshtest"
	"sluice/loader"
)

// greeter is a listener that answers every connection with its name and tells
// where it was dialled.
type greeter struct {
	*net.TCPListener
	dialled chan netip.AddrPort
}

func greet(t *testing.T, n *nettest.Namespace, at, name string) *greeter {
	t.Helper()
	l, err := n.Listen(netip.MustParseAddrPort(at))
	must(t, err)
	g := &greeter{l.(*net.TCPListener), make(chan netip.AddrPort, 100)}
	done := make(chan struct{})
	t.Cleanup(func() {
		g.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			c, err := g.Accept()
			if err != nil {
				return
			}
			g.dialled <- c.LocalAddr().(*net.TCPAddr).AddrPort()
			_, _ = c.Write([]byte("SSH-2.0-" + name + "\r\n"))
			c.Close()
		}
	}()
	return g
}

// set hands the listener to a service, as the process that holds it would.
func (l *greeter) set(t *testing.T, dp *loader.Dataplane, id loader.ServiceID) {
	t.Helper()
	f, err := l.File()
	must(t, err)
	defer f.Close()
	must(t, dp.SetListener(id, f))
}

// answers is what a client reads first at addr, or why it reads nothing.
func answers(t *testing.T, n *nettest.Namespace, addr netip.AddrPort) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := n.Dial(ctx, addr)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	banner, err := sshtest.ReadBanner(c, patience)
	must(t, err)
	return banner
}

// sshdGateway has two services that end on the gateway itself, and the machine's
// own SSH server on every address.
func sshdGateway(t *testing.T) (g *gateway, services map[loader.ServiceID]netip.AddrPort, own string) {
	t.Helper()
	o := testOptions(t)
	g = &gateway{Gateway: nettest.GatewayForTest(t, nettest.GatewayOptions{Backends: 1}), opts: o}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	any4, any6 := netip.MustParseAddrPort("0.0.0.0:22"), netip.MustParseAddrPort("[::]:22")
	server, err := sshtest.Start(ctx, g.GW, sshtest.ServerOptions{Name: "own", Dir: t.TempDir(), Addrs: []netip.AddrPort{any4, any6}})
	must(t, err)
	t.Cleanup(func() { must(t, server.Close()) })
	g.open(t)
	services = map[loader.ServiceID]netip.AddrPort{}
	for i, vip := range g.VIPs {
		id := loader.ServiceID(i + 1)
		services[id] = netip.AddrPortFrom(vip, testPort)
		must(t, g.dp.PutService(id, loader.Service{Listen: services[id], Mode: loader.ModeSSHD}))
		must(t, g.dp.Publish(id))
	}
	return g, services, server.Software()
}

func drops(t *testing.T, dp *loader.Dataplane, reason string) uint64 {
	t.Helper()
	all, err := dp.Drops()
	must(t, err)
	for _, d := range all {
		if d.Reason == reason {
			return d.Packets
		}
	}
	t.Fatalf("no drop reason %q", reason)
	return 0
}

// VIP:22 is ours and every other address keeps the machine's own server, in
// both families, while our listener is there, before, and after.
func TestDispatch(t *testing.T) {
	t.Parallel()
	g, services, own := sshdGateway(t)
	listeners := map[loader.ServiceID]*greeter{
		1: greet(t, g.GW, "127.0.0.1:0", "ours4"),
		2: greet(t, g.GW, "[::1]:0", "ours6"),
	}
	for id, listen := range services {
		l := listeners[id]
		home := netip.AddrPortFrom(g.OutsideAddr.Like(listen.Addr()), testPort)
		wantListener(t, g.dp, id, false)
		wantRefused(t, g, "without a listener", listen)
		wantAnswer(t, g, "without a listener", home, own)

		l.set(t, g.dp, id)
		wantListener(t, g.dp, id, true)
		const count = 5
		for range count {
			wantAnswer(t, g, "with a listener", listen, map[loader.ServiceID]string{1: "ours4", 2: "ours6"}[id])
			if at := <-l.dialled; at != listen {
				t.Errorf("the listener sees %s as the address that was dialled, want %s", at, listen)
			}
		}
		wantAnswer(t, g, "with a listener", home, own)
		// A service is VIP and port: another port of the VIP is the machine's.
		wantText(t, answers(t, g.Client, netip.AddrPortFrom(listen.Addr(), 23)), "refused")
		counters, err := g.dp.ServiceCounters()
		must(t, err)
		if c := counters[id]; c.SYNs != count+1 || c.PacketsIn <= c.SYNs || c.BytesIn < 40*c.PacketsIn {
			t.Errorf("counters of %s are %+v; %d connections were made and one refused", listen, c, count)
		}

		must(t, l.Close())
		wantListener(t, g.dp, id, false)
		wantRefused(t, g, "after the listener was closed", listen)
		wantAnswer(t, g, "after the listener was closed", home, own)
	}
}

func wantAnswer(t *testing.T, g *gateway, when string, at netip.AddrPort, want string) {
	t.Helper()
	if got := answers(t, g.Client, at); got != want {
		t.Errorf("%s %s answered %q, want %q", when, at, got, want)
	}
}

// wantRefused fails the test unless a connection is refused and counted.
func wantRefused(t *testing.T, g *gateway, when string, at netip.AddrPort) {
	t.Helper()
	before := drops(t, g.dp, "no_listener")
	wantText(t, answers(t, g.Client, at), "refused")
	if n := drops(t, g.dp, "no_listener") - before; n != 1 {
		t.Errorf("%s %d connections to %s were counted as no_listener, want 1", when, n, at)
	}
}

func wantListener(t *testing.T, dp *loader.Dataplane, id loader.ServiceID, want bool) {
	t.Helper()
	if got, err := dp.HasListener(id); err != nil || got != want {
		t.Errorf("service %d has a listener: %v (%v), want %v", id, got, err, want)
	}
}

// A listener is not the dataplane's: it stays through a restart, gives way to
// the next, and goes with its service.
func TestListenerStays(t *testing.T) {
	t.Parallel()
	g, services, own := sshdGateway(t)
	first, second := greet(t, g.GW, "127.0.0.1:0", "first"), greet(t, g.GW, "10.0.0.1:2222", "second")
	first.set(t, g.dp, 1)
	must(t, g.dp.Close())
	wantAnswer(t, g, "while nobody holds the dataplane", services[1], "first")
	g.open(t)
	wantAnswer(t, g, "after adoption", services[1], "first")
	second.set(t, g.dp, 1)
	wantAnswer(t, g, "after the listener was replaced", services[1], "second")
	must(t, g.dp.DeleteService(1))
	wantListener(t, g.dp, 1, false)
	wantAnswer(t, g, "after the service is gone", services[1], own)
	second.set(t, g.dp, 1)
	wantAnswer(t, g, "with a listener but no service", services[1], own)
}

// A listener is that of VIP and port: the service that takes them over has it,
// in whichever mode, and it goes with the last of them.
func TestListenerIsTakenOver(t *testing.T) {
	t.Parallel()
	g, services, own := sshdGateway(t)
	listen := services[1]
	greet(t, g.GW, "127.0.0.1:0", "ours").set(t, g.dp, 1)
	const next, stranger = 9, 10
	must(t, g.dp.PutService(next, loader.Service{Listen: listen, Mode: loader.ModeDSR, Nodes: true}))
	must(t, g.dp.PutMember(1, loader.Member{Service: next, Addr: netip.AddrPortFrom(g.OutsideAddr.V4, listen.Port()), Local: true}))
	ring, err := g.dp.Ring(next)
	must(t, err)
	for i := range loader.RingEntries {
		ring.Set(i, 1)
	}
	wantListener(t, g.dp, next, true)
	must(t, g.dp.Publish(next))
	wantAnswer(t, g, "by nodes", listen, "ours")
	must(t, g.dp.DeleteService(1))
	// What is new does not take its place.
	must(t, g.dp.PutService(1, loader.Service{Listen: netip.AddrPortFrom(listen.Addr(), 2200), Mode: loader.ModeSSHD}))
	wantListener(t, g.dp, 1, false)
	must(t, g.dp.Close())
	g.open(t)
	wantAnswer(t, g, "after a restart", listen, "ours")
	must(t, g.dp.PutService(stranger, loader.Service{Listen: listen, Mode: loader.ModeSSHD}))
	wantListener(t, g.dp, stranger, true)
	must(t, g.dp.Publish(stranger))
	must(t, g.dp.DeleteService(next))
	wantAnswer(t, g, "by this node alone", listen, "ours")
	must(t, g.dp.DeleteService(stranger))
	wantAnswer(t, g, "after the last", listen, own)
	must(t, g.dp.PutService(stranger, loader.Service{Listen: listen, Mode: loader.ModeSSHD}))
	wantListener(t, g.dp, stranger, false)
}

func TestSetListenerRefusals(t *testing.T) {
	t.Parallel()
	n, o := bare(t)
	dp := openIn(t, n, o)
	must(t, dp.PutService(1, loader.Service{Listen: netip.MustParseAddrPort("127.0.0.1:22"), Mode: loader.ModeSSHD}))
	peer := greet(t, n, "127.0.0.1:0", "peer")
	file := func(f *os.File, err error) *os.File {
		t.Helper()
		must(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	sockets := map[string]func() *os.File{
		"mptcp": func() *os.File {
			var l net.Listener
			must(t, n.Do(func() (err error) {
				var config net.ListenConfig
				config.SetMultipathTCP(true)
				l, err = config.Listen(t.Context(), "tcp4", "127.0.0.1:0")
				return err
			}))
			t.Cleanup(func() { l.Close() })
			return file(l.(*net.TCPListener).File())
		},
		"connected": func() *os.File {
			c, err := n.Dial(t.Context(), netip.MustParseAddrPort(peer.Addr().String()))
			must(t, err)
			t.Cleanup(func() { c.Close() })
			return file(c.(*net.TCPConn).File())
		},
		"udp": func() *os.File {
			var c *net.UDPConn
			must(t, n.Do(func() (err error) {
				c, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
				return err
			}))
			t.Cleanup(func() { c.Close() })
			return file(c.File())
		},
		"no socket": func() *os.File { return file(os.Open(os.DevNull)) },
	}
	for name, socket := range sockets {
		t.Run(name, func(t *testing.T) {
			wantError(t, dp.SetListener(1, socket()), "set listener of service 1", "listening TCP socket, not MPTCP")
			wantListener(t, dp, 1, false)
		})
	}
	t.Run("closed", func(t *testing.T) {
		f, err := peer.File()
		must(t, err)
		must(t, f.Close())
		wantError(t, dp.SetListener(1, f), "set listener of service 1")
	})
}

// The socket is shared with the process that accepts: handing it over must not
// make its Accept block for ever.
func TestSetListenerLeavesTheSocketAlone(t *testing.T) {
	t.Parallel()
	n, o := bare(t)
	dp := openIn(t, n, o)
	l := greet(t, n, "127.0.0.1:0", "x")
	l.set(t, dp, 1)
	raw, err := l.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		if err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("the listener's flags are %#x (%v), without O_NONBLOCK", flags, err)
			must(t, unix.SetNonblock(int(fd), true))
		}
	}))
	// An Accept that blocks has to be woken before the listener can be closed.
	if got := answers(t, n, netip.MustParseAddrPort(l.Addr().String())); got != "x" {
		t.Errorf("the listener answered %q", got)
	}
}
