package link

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"sluice/internal/nettest"
)

var (
	hbA, hbB = netip.MustParseAddr("169.254.1.0"), netip.MustParseAddr("169.254.1.1")
	lanA     = netip.MustParseAddr("192.0.2.1")
)

// world is two gateways with a heartbeat link hb0 and a LAN lan0.
func world(t *testing.T) (a, b *nettest.Namespace) {
	t.Helper()
	a, b = nettest.ForTest(t), nettest.ForTest(t)
	err := errors.Join(
		nettest.Veth(a, "hb0", b, "hb0"), nettest.Veth(a, "lan0", b, "lan0"),
		a.AddAddr("hb0", netip.PrefixFrom(hbA, 31)), b.AddAddr("hb0", netip.PrefixFrom(hbB, 31)),
		a.AddAddr("lan0", netip.PrefixFrom(lanA, 24)), b.AddAddr("lan0", netip.MustParsePrefix("192.0.2.2/24")))
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

func remove(n *nettest.Namespace, name string) error {
	l, err := n.Netlink().LinkByName(name)
	if err != nil {
		return err
	}
	return n.Netlink().LinkDel(l)
}

func listen(t *testing.T, n *nettest.Namespace, addr netip.AddrPort) net.Listener {
	t.Helper()
	var l net.Listener
	err := n.Do(func() (err error) {
		l, err = Listen(t.Context(), "hb0", addr)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(n *nettest.Namespace, ctx context.Context, local netip.Addr, peer netip.AddrPort) (net.Conn, error) {
	var c net.Conn
	err := n.Do(func() (err error) {
		c, err = Dial(ctx, "hb0", local, peer)
		return err
	})
	return c, err
}

func TestTheHeartbeatLinkOnly(t *testing.T) {
	a, b := world(t)
	l := listen(t, a, netip.AddrPortFrom(hbA, 8021))
	to := netip.AddrPortFrom(hbA, 8021)
	c, err := dial(b, t.Context(), hbB, to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if from := netip.MustParseAddrPort(got.RemoteAddr().String()).Addr(); from != hbB {
		t.Errorf("the peer is %s", from)
	}
	go func() { _, _ = c.Write([]byte("x")) }()
	if _, err := io.ReadFull(got, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	// The same address, asked for over the LAN: nobody listens there.
	if err := b.SetRoute(netip.PrefixFrom(hbA, 32), lanA); err != nil {
		t.Fatal(err)
	}
	if c, err := b.Dial(t.Context(), to); err == nil {
		c.Close()
		t.Error("it is reached over another interface")
	}
}

func TestWildcardsAreRefused(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:8021", "[::]:8021", "224.0.0.18:8021"} {
		if l, err := Listen(t.Context(), "lo", netip.MustParseAddrPort(addr)); err == nil {
			l.Close()
			t.Errorf("listens on %s", addr)
		}
	}
	if l, err := Listen(t.Context(), "", netip.MustParseAddrPort("127.0.0.1:0")); err == nil {
		l.Close()
		t.Error("listens on every interface")
	}
	if c, err := Dial(t.Context(), "", netip.MustParseAddr("127.0.0.1"), netip.MustParseAddrPort("127.0.0.1:1")); err == nil {
		c.Close()
		t.Error("dials from every interface")
	}
}

// A socket bound to an interface that is made again would hear nothing.
func TestAnInterfaceThatIsMadeAgain(t *testing.T) {
	a, b := world(t)
	l := listen(t, a, netip.AddrPortFrom(hbA, 8021))
	if err := errors.Join(remove(a, "hb0"), nettest.Veth(a, "hb0", b, "hb0"), a.AddAddr("hb0", netip.PrefixFrom(hbA, 31))); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		failed <- err
	}()
	select {
	case err := <-failed:
		if err == nil {
			t.Error("somebody connected")
		}
	case <-time.After(time.Minute):
		t.Error("it listens on")
	}
}
