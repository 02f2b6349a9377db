package loader_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"sluice/internal/nettest"
	"sluice/loader"
)

// gateway is a dataplane on a real gateway with one service, whose members are
// the gateway's backends, and ring entries dealt round robin.
type gateway struct {
	*nettest.Gateway
	dp      *loader.Dataplane
	opts    loader.Options
	service loader.Service
	listen  netip.AddrPort
	servers []*nettest.Server
	// accepted are the backends' ends where plan.held says so.
	accepted chan net.Conn
}

const (
	testService = loader.ServiceID(1)
	testPort    = 22

	// bannerLen is the length of what a backend says first.
	bannerLen = len("SSH-2.0-b1\r\n")
)

// plan is what a gateway may differ in.
type plan struct {
	loader.Options
	backends int
	// held has the backends say their banner and then nothing more: they
	// neither read nor close, the test does.
	held bool
	// serve starts another server on a backend.
	serve func(t *testing.T, n *nettest.Namespace, at netip.AddrPort)
}

func testOptions(t *testing.T) loader.Options {
	return loader.Options{
		Dir:        filepath.Join(nettest.BPFFS(t), "sluice"),
		Interfaces: []string{nettest.OutsideLink, nettest.InsideLink},
		XDP:        loader.XDPNative,
		MaxFlows:   4096,
		Key:        [16]byte{1, 2, 3},
	}
}

// newGateway builds a gateway and opens its dataplane.
func newGateway(t *testing.T, s loader.Service, change ...func(*plan)) *gateway {
	t.Helper()
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF)
	p := plan{Options: testOptions(t)}
	for _, c := range change {
		c(&p)
	}
	o := nettest.GatewayOptions{Backends: p.backends}
	if s.Mode.OneWay() {
		o.DSR = []netip.Addr{s.Listen.Addr()}
	}
	g := &gateway{Gateway: nettest.GatewayForTest(t, o), opts: p.Options, service: s, listen: s.Listen, accepted: make(chan net.Conn, 100)}
	for _, b := range g.Backends {
		at := netip.AddrPortFrom(b.Addr.Like(s.Listen.Addr()), testPort)
		if s.Mode.OneWay() {
			at = s.Listen
		}
		banner := "SSH-2.0-" + b.Label + "\r\n"
		if p.serve != nil {
			p.serve(t, b.Namespace, at)
			continue
		}
		if p.held {
			hold(t, b.Namespace, at, banner, g.accepted)
			continue
		}
		g.servers = append(g.servers, nettest.ServeForTest(t, b.Namespace, at, nettest.ServerOptions{Banner: banner, Echo: true}))
	}
	g.open(t)
	g.put(t, s)
	return g
}

// hold serves connections by handing them to the test.
func hold(t *testing.T, n *nettest.Namespace, at netip.AddrPort, banner string, accepted chan<- net.Conn) {
	t.Helper()
	l, err := n.Listen(at)
	must(t, err)
	nettest.AcceptForTest(t, l, func(c net.Conn) {
		t.Cleanup(func() { c.Close() })
		_, _ = io.WriteString(c, banner)
		accepted <- c
	})
}

// open opens the dataplane in the gateway's namespace.
func (g *gateway) open(t *testing.T) {
	t.Helper()
	err := g.GW.Do(func() (err error) {
		g.dp, err = loader.Open(g.opts)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	dp := g.dp
	t.Cleanup(func() {
		if t.Failed() {
			drops, err := dp.Drops()
			counters, _ := dp.MemberCounters()
			services, _ := dp.ServiceCounters()
			t.Logf("drops %v (%v), members %v, services %v, attachments %+v", drops, err, counters, services, dp.Attachments())
		}
		dp.Close()
	})
}

func (g *gateway) put(t *testing.T, s loader.Service) {
	t.Helper()
	must(t, g.dp.SetPorts(1024, 32767, 61000, 65535))
	must(t, g.dp.SetResetUnknown(true))
	must(t, g.dp.PutService(testService, s))
	for i, b := range g.Backends {
		must(t, g.dp.PutNextHop(loader.NextHopID(i+1), g.nextHop(t, b)))
		must(t, g.dp.PutMember(loader.MemberID(i+1), loader.Member{
			Service: testService,
			Addr:    netip.AddrPortFrom(b.Addr.Like(s.Listen.Addr()), testPort),
			NextHop: loader.NextHopID(i + 1),
		}))
	}
	ring, err := g.dp.Ring(testService)
	must(t, err)
	for i := range loader.RingEntries {
		ring.Set(i, loader.MemberID(i%len(g.Backends)+1))
	}
	must(t, g.dp.Publish(testService))
}

func (g *gateway) nextHop(t *testing.T, b *nettest.Backend) loader.NextHop {
	t.Helper()
	index, own, its, err := g.Beside(b)
	must(t, err)
	return loader.NextHop{Interface: index, Source: own, Destination: its, MTU: 1500, Ready: true}
}

// dial opens a connection to the service as a client and reads the banner.
func (g *gateway) dial(t *testing.T) (net.Conn, string) {
	t.Helper()
	return g.dialFrom(t, 0)
}

// dialFrom is dial from a port of the client's.
func (g *gateway) dialFrom(t *testing.T, port int) (net.Conn, string) {
	t.Helper()
	c, err := g.tryDial(t.Context(), port)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	must(t, c.SetDeadline(time.Now().Add(patience)))
	banner := make([]byte, bannerLen)
	_, err = io.ReadFull(c, banner)
	must(t, err)
	return c, string(banner[len("SSH-2.0-") : len(banner)-2])
}

func (g *gateway) tryDial(ctx context.Context, port int) (c net.Conn, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	d := net.Dialer{LocalAddr: &net.TCPAddr{Port: port}}
	err = g.Client.Do(func() error {
		c, err = d.DialContext(ctx, "tcp", g.listen.String())
		return err
	})
	return c, err
}

// client is who the client's end of a connection is.
func client(c net.Conn) netip.AddrPort {
	a := c.LocalAddr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// shapes are the ways a flow can go through the gateway.
func shapes() map[string]loader.Service {
	v4, v6 := netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("2001:db8:1::3")
	out := map[string]loader.Service{}
	for family, vip := range map[string]netip.Addr{"v4": v4, "v6": v6} {
		listen := netip.AddrPortFrom(vip, testPort)
		out["hide "+family] = loader.Service{Listen: listen, Mode: loader.ModeNAT, Pool: []netip.Addr{vip}}
		out["keep "+family] = loader.Service{Listen: listen, Mode: loader.ModeNAT, KeepClient: true}
		out["dsr "+family] = loader.Service{Listen: listen, Mode: loader.ModeDSR}
	}
	return out
}
