package segment

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

const port = 8021

// link is an open heartbeat and what it hears.
type link struct {
	*Heartbeat
	heard chan Datagram
}

func (w *world) heartbeat(t *testing.T, host int, addr netip.Addr, peers ...netip.Addr) *link {
	t.Helper()
	l := &link{heard: make(chan Datagram, 256)}
	o := HeartbeatOptions{Interface: lan, Addr: netip.AddrPortFrom(addr, port), Receive: func(d Datagram) { offer(l.heard, d) }}
	for _, p := range peers {
		o.Peers = append(o.Peers, netip.AddrPortFrom(p, port))
	}
	must(t, w.hosts[host].Do(func() (err error) {
		l.Heartbeat, err = OpenHeartbeat(o)
		return err
	}))
	t.Cleanup(func() { must(t, l.Close()) })
	return l
}

// linkLocal is a host's link-local address, with its zone.
func (w *world) linkLocal(t *testing.T, host int) netip.Addr {
	t.Helper()
	return w.open(t, host, Options{Family: 6}).Source().WithZone(lan)
}

// pointsOf are the kinds of addresses that heartbeats use.
func heartbeats(t *testing.T, fn func(t *testing.T, w *world, addrs []netip.Addr)) {
	kinds := map[string]func(t *testing.T, w *world, host int) netip.Addr{
		"v4":         func(_ *testing.T, _ *world, host int) netip.Addr { return own4(host) },
		"v6":         func(_ *testing.T, _ *world, host int) netip.Addr { return own6(host) },
		"link-local": func(t *testing.T, w *world, host int) netip.Addr { return w.linkLocal(t, host) },
	}
	for name, addr := range kinds {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 3)
			fn(t, w, []netip.Addr{addr(t, w, 0), addr(t, w, 1), addr(t, w, 2)})
		})
	}
}

func TestHeartbeatBothWays(t *testing.T) {
	heartbeats(t, func(t *testing.T, w *world, addrs []netip.Addr) {
		a := w.heartbeat(t, 0, addrs[0], addrs[1], addrs[2])
		b := w.heartbeat(t, 1, addrs[1], addrs[0])
		c := w.heartbeat(t, 2, addrs[2], addrs[0])
		for i, to := range []*link{b, c} {
			must(t, a.Send(netip.AddrPortFrom(addrs[i+1], port), []byte("to you")))
			if d := hear(t, to.heard); string(d.Payload) != "to you" || d.Peer != netip.AddrPortFrom(addrs[0], port) {
				t.Errorf("heard %+v", d)
			}
			must(t, to.Send(netip.AddrPortFrom(addrs[0], port), []byte("back")))
			if d := hear(t, a.heard); string(d.Payload) != "back" || d.Peer != netip.AddrPortFrom(addrs[i+1], port) {
				t.Errorf("heard %+v", d)
			}
		}
		if err := b.Send(netip.AddrPortFrom(addrs[2], port), nil); err == nil {
			t.Error("what is no peer can be sent to")
		}
	})
}

// dial opens an ordinary socket that sends to a heartbeat.
func (w *world) dial(t *testing.T, host int, from, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	must(t, w.hosts[host].Do(func() (err error) {
		conn, err = net.DialUDP("udp", net.UDPAddrFromAddrPort(from), net.UDPAddrFromAddrPort(to))
		return err
	}))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// ttl sets what a socket sends with.
func ttl(t *testing.T, conn *net.UDPConn, family4 bool, ttl int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		if family4 {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TTL, ttl)
		} else {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, ttl)
		}
	}))
	must(t, err)
}

func TestHeartbeatOfNoPeer(t *testing.T) {
	heartbeats(t, func(t *testing.T, w *world, addrs []netip.Addr) {
		a := w.heartbeat(t, 0, addrs[0], addrs[1])
		to := netip.AddrPortFrom(addrs[0], port)
		send := func(host int, source uint16, with int, payload string) {
			conn := w.dial(t, host, netip.AddrPortFrom(addrs[host], source), to)
			ttl(t, conn, addrs[0].Is4(), with)
			_, err := conn.Write([]byte(payload))
			must(t, err)
			conn.Close()
		}
		send(2, port, 255, "another's address")
		send(1, port+1, 255, "another's port")
		eventually(t, "strangers are counted", func() bool { return a.Counters().Strangers == 2 })
		send(1, port, 254, "through a router")
		send(1, port, 64, "by another program")
		eventually(t, "routed ones are counted", func() bool { return a.Counters().Routed == 2 })
		send(1, port, 255, "good")
		if d := hear(t, a.heard); string(d.Payload) != "good" || len(a.heard) != 0 {
			t.Errorf("heard %q, and %d more", d.Payload, len(a.heard))
		}
	})
}

// A host answers for its addresses on all its interfaces; the heartbeat does not.
func TestHeartbeatByAnotherInterface(t *testing.T) {
	w := newWorld(t, 2)
	must(t, nettest.Veth(w.hosts[0], "other0", w.hosts[1], "other0"))
	must(t, w.hosts[0].Settled(t.Context()))
	must(t, w.hosts[1].AddAddr("other0", netip.MustParsePrefix("10.8.0.2/24")))
	must(t, w.hosts[0].AddAddr("other0", netip.MustParsePrefix("10.8.0.1/24")))
	a := w.heartbeat(t, 0, own4(0), own4(1))
	must(t, w.hosts[1].SetRoute(netip.PrefixFrom(own4(0), 32), netip.MustParseAddr("10.8.0.1")))
	conn := w.dial(t, 1, netip.AddrPortFrom(own4(1), port), netip.AddrPortFrom(own4(0), port))
	ttl(t, conn, true, 255)
	before := refusals(t, w.hosts[0])
	_, err := conn.Write([]byte("the wrong way"))
	must(t, err)
	eventually(t, "the kernel finds no socket", func() bool { return refusals(t, w.hosts[0]) > before })
	must(t, w.hosts[1].DelRoute(netip.PrefixFrom(own4(0), 32)))
	eventually(t, "the right way is heard", func() bool {
		// The refusal is reported at the next write.
		_, _ = conn.Write([]byte("good"))
		return len(a.heard) > 0
	})
	if d := hear(t, a.heard); string(d.Payload) != "good" {
		t.Errorf("heard %q", d.Payload)
	}
}

// refusals counts the datagrams that no socket of a host wanted.
func refusals(t *testing.T, n *nettest.Namespace) (count int) {
	t.Helper()
	out, err := n.Command(context.Background(), "cat", "/proc/net/snmp").Output()
	must(t, err)
	for line := range strings.Lines(string(out)) {
		var in, noPorts int
		if got, _ := fmt.Sscanf(line, "Udp: %d %d", &in, &noPorts); got == 2 {
			count = noPorts
		}
	}
	return count
}

func TestHeartbeatLinkIsDownAtStart(t *testing.T) {
	heartbeats(t, func(t *testing.T, w *world, addrs []netip.Addr) {
		b := w.heartbeat(t, 1, addrs[1], addrs[0])
		must(t, w.hosts[0].Down(lan))
		a := w.heartbeat(t, 0, addrs[0], addrs[1])
		to := netip.AddrPortFrom(addrs[1], port)
		if err := a.Send(to, []byte("early")); !errors.Is(err, unix.ENETDOWN) {
			t.Errorf("while it is down: %v", err)
		}
		must(t, w.hosts[0].Up(lan))
		if addrs[0].Is6() && addrs[0].Zone() == "" {
			// The kernel takes IPv6 addresses away with the link.
			must(t, w.hosts[0].AddAddr(lan, netip.PrefixFrom(addrs[0], 64)))
		}
		eventually(t, "it is heard", func() bool {
			err := a.Send(to, []byte("late"))
			// EAGAIN: what waits for the neighbour fills the socket's buffer.
			if err != nil && !errors.Is(err, unix.ENETDOWN) && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.EAGAIN) {
				t.Fatal(err)
			}
			return len(b.heard) > 0
		})
	})
}

func TestHeartbeatInterfaceMadeAnew(t *testing.T) {
	w := newWorld(t, 2)
	a := w.heartbeat(t, 0, own4(0), own4(1))
	old, err := w.hosts[0].Netlink().LinkByName(lan)
	must(t, err)
	must(t, w.hosts[0].Netlink().LinkDel(old))
	eventually(t, "the interface is gone", func() bool {
		return errors.Is(a.Send(netip.AddrPortFrom(own4(1), port), nil), ErrReopen)
	})
	must(t, nettest.Veth(w.exchange, "p0", w.hosts[0], lan))
	must(t, w.exchange.Plug("br0", "p0"))
	must(t, w.hosts[0].AddAddr(lan, netip.PrefixFrom(own4(0), 24)))
	// The old socket still holds the address and port, on an interface that is
	// no more: it is not in the way.
	again := w.heartbeat(t, 0, own4(0), own4(1))
	b := w.heartbeat(t, 1, own4(1), own4(0))
	eventually(t, "it is heard", func() bool {
		_ = again.Send(netip.AddrPortFrom(own4(1), port), []byte("after"))
		return len(b.heard) > 0
	})
}
