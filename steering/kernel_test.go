package steering

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"sluice/internal/nettest"
	"sluice/loader"
	"sluice/steering/nexthop"
)

// TestCasesOnTheKernel is the same with the real programs between real hosts.
func TestCasesOnTheKernel(t *testing.T) {
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF)
	for name, run := range cases {
		t.Run(name, func(t *testing.T) { run(newStage(t, newKernelWorld(t))) })
	}
}

// kernelWorld is a gateway in namespaces with three backends that say who they
// are and echo.
type kernelWorld struct {
	gateway *nettest.Gateway
	options loader.Options
	stop    func() // ends the process before
}

func newKernelWorld(t *testing.T) *kernelWorld { return newKernelWorldOn(t, nettest.GatewayOptions{}) }

func newKernelWorldOn(t *testing.T, o nettest.GatewayOptions) *kernelWorld {
	w := &kernelWorld{
		gateway: nettest.GatewayForTest(t, o),
		options: loader.Options{
			Dir:        filepath.Join(nettest.BPFFS(t), "sluice"),
			Interfaces: []string{nettest.OutsideLink, nettest.InsideLink},
			XDP:        loader.XDPNative,
			MaxFlows:   4096,
			Lifetimes:  loader.Lifetimes{Embryo: time.Second, HalfClosed: time.Second, Closed: time.Second},
		},
		stop: func() {},
	}
	for i, b := range w.gateway.Backends {
		nettest.ServeForTest(t, b.Namespace, w.backend(i+1), nettest.ServerOptions{Banner: banner(b.Label), Echo: true})
	}
	t.Cleanup(func() { w.stop() })
	return w
}

func banner(label string) string { return "SSH-2.0-" + label + "\r\n" }

// adopter is the resolver as a Table takes it.
type adopter struct{ *nexthop.Resolver }

func (a adopter) Acquire(addr netip.Addr, _ loader.NextHopID) (loader.NextHopID, error) {
	return a.Resolver.Acquire(addr)
}

func (w *kernelWorld) start(t *testing.T) (Dataplane, Options) {
	w.stop()
	var dp *loader.Dataplane
	var resolver *nexthop.Resolver
	err := w.gateway.GW.Do(func() (err error) {
		if dp, err = loader.Open(w.options); err != nil {
			return err
		}
		resolver, err = nexthop.New(dp, nexthop.Options{})
		return err
	})
	if err == nil {
		err = errors.Join(dp.SetPorts(1024, 32767, 61000, 65535), dp.SetResetUnknown(true))
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- resolver.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := errors.Join(<-ended, dp.Close()); err != nil {
			t.Error(err)
		}
		resolver.Close()
		w.stop = func() {}
	}
	return Loaded(dp), Options{Resolver: adopter{resolver}}
}

func (w *kernelWorld) listen() netip.AddrPort { return netip.AddrPortFrom(w.gateway.VIPs[0], 22) }

func (w *kernelWorld) backend(n int) netip.AddrPort {
	return netip.AddrPortFrom(w.gateway.Backends[n-1].Addr.Like(w.gateway.VIPs[0]), 22)
}

func (w *kernelWorld) wait()                   { time.Sleep(20 * time.Millisecond) }
func (w *kernelWorld) patience() time.Duration { return 30 * time.Second }

func (w *kernelWorld) dial(t *testing.T, port uint16) (session, error) {
	ctx, cancel := context.WithTimeout(t.Context(), w.patience())
	defer cancel()
	var conn net.Conn
	d := net.Dialer{LocalAddr: &net.TCPAddr{Port: int(port)}}
	err := w.gateway.Client.Do(func() (err error) {
		conn, err = d.DialContext(ctx, "tcp", w.listen().String())
		return err
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	c := &kernelSession{conn: conn}
	line := make([]byte, len(banner("b1")))
	if err := conn.SetDeadline(time.Now().Add(w.patience())); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(conn, line); err != nil {
		return nil, err
	}
	for i, b := range w.gateway.Backends {
		if string(line) == banner(b.Label) {
			c.to = w.backend(i + 1)
		}
	}
	return c, nil
}

type kernelSession struct {
	conn net.Conn
	to   netip.AddrPort
}

func (c *kernelSession) client() netip.AddrPort {
	a := c.conn.LocalAddr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func (c *kernelSession) backend() netip.AddrPort { return c.to }
func (c *kernelSession) close()                  { _ = c.conn.Close() }

func (c *kernelSession) talk() bool {
	const word = "still there?"
	if _, err := io.WriteString(c.conn, word); err != nil {
		return false
	}
	answer := make([]byte, len(word))
	_, err := io.ReadFull(c.conn, answer)
	return err == nil && string(answer) == word
}
