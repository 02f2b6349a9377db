package address

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

const outside, inside = "ext0", "int0"

var (
	vip4 = netip.MustParsePrefix("192.0.2.3/24")
	vip6 = netip.MustParsePrefix("2001:db8::3/64")
	vips = []netip.Addr{vip4.Addr(), vip6.Addr()}
)

// patience bounds waits for what the kernel does soon.
const patience = 10 * time.Second

// lan is two gateways and a host on a switch that learns.
type lan struct {
	sw, host *nettest.Namespace
	gw       [2]*nettest.Namespace
}

func newLAN(t *testing.T) *lan {
	t.Helper()
	l := &lan{sw: nettest.ForTest(t), host: nettest.ForTest(t)}
	must(t, l.sw.Bridge("br0"))
	plug := func(n *nettest.Namespace, link, port, v4, v6 string) {
		must(t, nettest.Veth(n, link, l.sw, port))
		must(t, l.sw.Plug("br0", port))
		must(t, n.AddAddr(link, netip.MustParsePrefix(v4)))
		must(t, n.AddAddr(link, netip.MustParsePrefix(v6)))
	}
	plug(l.host, "h0", "h", "192.0.2.100/24", "2001:db8::100/64")
	for i := range l.gw {
		l.gw[i] = nettest.ForTest(t)
		plug(l.gw[i], outside, []string{"a", "b"}[i], []string{"192.0.2.1/24", "192.0.2.2/24"}[i], []string{"2001:db8::1/64", "2001:db8::2/64"}[i])
		must(t, nettest.Veth(l.gw[i], inside, l.sw, []string{"ia", "ib"}[i]))
		must(t, l.gw[i].AddAddr(inside, netip.MustParsePrefix([]string{"10.0.0.1/24", "10.0.0.2/24"}[i])))
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, n := range []*nettest.Namespace{l.sw, l.host, l.gw[0], l.gw[1]} {
		must(t, n.Settled(ctx))
	}
	return l
}

// gateway is one machine without neighbours, for what needs none.
func gateway(t *testing.T) *nettest.Namespace {
	t.Helper()
	n, far := nettest.ForTest(t), nettest.ForTest(t)
	must(t, nettest.Veth(n, outside, far, "far0"))
	must(t, nettest.Veth(n, inside, far, "far1"))
	must(t, n.AddAddr(outside, netip.MustParsePrefix("192.0.2.1/24")))
	must(t, n.AddAddr(outside, netip.MustParsePrefix("2001:db8::1/64")))
	must(t, n.AddAddr(inside, netip.MustParsePrefix("10.0.0.1/24")))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(t, n.Settled(ctx))
	return n
}

// kept is a set whose methods are called in its namespace.
type kept struct {
	*Set
	t  *testing.T
	ns *nettest.Namespace
}

// keep makes a host and a set that are closed when the test ends.
func keep(t *testing.T, ns *nettest.Namespace, plan Plan) *kept {
	t.Helper()
	host := openHost(t, ns)
	return keepOf(t, ns, host, plan)
}

func openHost(t *testing.T, ns *nettest.Namespace) *Host {
	t.Helper()
	var host *Host
	must(t, ns.Do(func() (err error) { host, err = Open(); return err }))
	t.Cleanup(func() { must(t, host.Close()) })
	return host
}

func keepOf(t *testing.T, ns *nettest.Namespace, host *Host, plan Plan) *kept {
	t.Helper()
	s, err := host.New(plan)
	must(t, err)
	k := &kept{s, t, ns}
	t.Cleanup(func() { must(t, ns.Do(func() error { return s.Close(true) })) })
	return k
}

// do calls steps of the set and fails the test where one does.
func (k *kept) do(steps ...func() error) {
	k.t.Helper()
	for _, step := range steps {
		must(k.t, k.ns.Do(step))
	}
}

func (k *kept) renew() []string {
	k.t.Helper()
	var repaired []string
	must(k.t, k.ns.Do(func() (err error) { repaired, err = k.Renew(); return err }))
	return repaired
}

func (k *kept) held() bool {
	k.t.Helper()
	var held bool
	must(k.t, k.ns.Do(func() (err error) { held, err = k.Held(); return err }))
	return held
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// see reads everything of a namespace.
func see(t *testing.T, ns *nettest.Namespace) *scene {
	t.Helper()
	var sc *scene
	must(t, ns.Do(func() (err error) { sc, err = look(); return err }))
	return sc
}

// answer has a machine answer datagrams to the VIPs, port 9, by its name.
func answer(t *testing.T, ns *nettest.Namespace, name string) {
	t.Helper()
	free := net.ListenConfig{Control: func(network, _ string, c syscall.RawConn) error {
		var err error
		ctl := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1)
		})
		return errors.Join(ctl, err)
	}}
	for _, vip := range vips {
		must(t, ns.Do(func() error {
			conn, err := free.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(vip, 9).String())
			if err != nil {
				return err
			}
			done := make(chan struct{})
			t.Cleanup(func() { _ = conn.Close(); <-done })
			go func() {
				defer close(done)
				for {
					_, from, err := conn.ReadFrom(make([]byte, 1))
					if err != nil {
						return
					}
					_, _ = conn.WriteTo([]byte(name), from)
				}
			}()
			return nil
		}))
	}
}

// ask sends a VIP one datagram, which nobody repeats, and returns who answers.
func ask(t *testing.T, ns *nettest.Namespace, vip netip.Addr) string {
	t.Helper()
	var name string
	must(t, ns.Do(func() error {
		conn, err := net.Dial("udp", netip.AddrPortFrom(vip, 9).String())
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := conn.Write([]byte{1}); err != nil {
			return err
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		b := make([]byte, 16)
		n, err := conn.Read(b)
		name = string(b[:n])
		return err
	}))
	return name
}

// neighbour is the MAC that a host remembers for an address.
func neighbour(t *testing.T, ns *nettest.Namespace, link string, addr netip.Addr) net.HardwareAddr {
	t.Helper()
	index, err := ns.Index(link)
	must(t, err)
	list, err := ns.Netlink().NeighList(index, unix.AF_UNSPEC)
	must(t, err)
	for _, n := range list {
		if at, _ := netip.AddrFromSlice(n.IP); at.Unmap() == addr {
			return n.HardwareAddr
		}
	}
	return nil
}

// capture collects the frames of one source that come by a link, until stop.
func capture(t *testing.T, ns *nettest.Namespace, link string, source net.HardwareAddr) (frames func() [][]byte) {
	t.Helper()
	index, err := ns.Index(link)
	must(t, err)
	fd := -1
	must(t, ns.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: 0x0300, Ifindex: index})
		}
		return err
	}))
	t.Cleanup(func() { _ = unix.Close(fd) })
	return func() [][]byte {
		var list [][]byte
		b := make([]byte, 2048)
		for {
			n, err := unix.Read(fd, b)
			if err != nil {
				return list
			}
			if n >= 14 && bytes.Equal(b[6:12], source) {
				list = append(list, bytes.Clone(b[:n]))
			}
		}
	}
}
