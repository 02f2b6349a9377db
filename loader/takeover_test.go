package loader_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"

	"sluice/internal/nettest"
	"sluice/loader"
)

// TestTakeOver: connections through one gateway go on through another that was
// told of them, with all their data, when the first one's links go down.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	for name, s := range takeOverShapes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newGateway(t, s, func(p *plan) { p.backends, p.serve = 2, echoServer(s.Proxy) })
			a.tunnel(t)
			b := a.standby(t)
			must(t, b.dp.SetElected([]netip.Addr{s.Listen.Addr()}))
			words, err := loader.OpenOwners(b.opts.Dir)
			must(t, err)
			t.Cleanup(func() { must(t, words.Close()) })

			var conns []net.Conn
			for range 4 {
				c, _ := a.dial(t)
				echo(t, c, 10_000)
				conns = append(conns, c)
			}
			busy := make(chan error, 2)
			for _, c := range conns[:cap(busy)] {
				go func() { busy <- exchange(c, 4<<20) }()
			}
			before := a.carry(t, b, len(conns))
			must(t, a.GW.Down(nettest.OutsideLink))
			must(t, a.GW.Down(nettest.InsideLink))
			a.handOver(t, b)
			must(t, words.Set([]netip.Addr{s.Listen.Addr()}, true, 0))
			for range cap(busy) {
				must(t, <-busy)
			}
			for _, c := range conns {
				echo(t, c, 100_000)
			}
			for _, c := range conns {
				f, ok := find(t, b.dp, client(c))
				if was := before[client(c)]; !ok || f.Source != was.Source || f.Member != was.Member {
					t.Errorf("the flow of %s was %+v and is %+v", client(c), was, f)
				}
			}
			wantNoFlowsLeft(t, b, conns)
		})
	}
}

// takeOverShapes are all ways for a flow to go through a gateway, in one family,
// and two in the other.
func takeOverShapes() map[string]loader.Service {
	out := shapes()
	delete(out, "keep v6")
	listen := out["dsr v4"].Listen
	out["ipip v4"] = loader.Service{Listen: listen, Mode: loader.ModeIPIP}
	out["gue v4"] = loader.Service{Listen: listen, Mode: loader.ModeGUE}
	out["proxy v4"] = loader.Service{Listen: listen, Mode: loader.ModeNAT, Proxy: true, Pool: []netip.Addr{listen.Addr()}}
	return out
}

// echoServer reads a header where one comes, says its banner, and sends back what
// it gets.
func echoServer(header bool) func(t *testing.T, n *nettest.Namespace, at netip.AddrPort) {
	return func(t *testing.T, n *nettest.Namespace, at netip.AddrPort) {
		l, err := n.Listen(at)
		must(t, err)
		nettest.AcceptForTest(t, l, func(c net.Conn) {
			t.Cleanup(func() { c.Close() })
			go func() {
				defer c.Close()
				if header && skipHeader(c) != nil {
					return
				}
				if _, err := io.WriteString(c, "SSH-2.0-b0\r\n"); err == nil {
					_, _ = io.Copy(c, c)
				}
			}()
		})
	}
}

func skipHeader(c net.Conn) error {
	var head [16]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint16(head[14:])))
	return err
}

// tunnel lets the backends take packets out of others, where the mode puts them
// in.
func (g *gateway) tunnel(t *testing.T) {
	t.Helper()
	if !g.service.Mode.Tunnels() {
		return
	}
	g.putTunnelled(t)
	for _, b := range g.Backends {
		must(t, b.Do(func() error {
			d, err := loader.OpenDecap(loader.DecapOptions{
				Dir: filepath.Join(nettest.BPFFS(t), "sluice"), Interfaces: []string{nettest.HostLink},
				From: []netip.Prefix{netip.PrefixFrom(g.InsideAddr.V4, 32)}, VIPs: []netip.Addr{g.listen.Addr()},
			})
			if err == nil {
				t.Cleanup(func() { d.Close() })
			}
			return err
		}))
	}
}

func (g *gateway) putTunnelled(t *testing.T) {
	t.Helper()
	if !g.service.Mode.Tunnels() {
		return
	}
	members, err := g.dp.Members()
	must(t, err)
	for id, m := range members {
		m.Source = netip.PrefixFrom(g.InsideAddr.V4, 32)
		must(t, g.dp.PutMember(id, m))
	}
}

// standby is a second gateway beside g that has everything but the addresses.
func (g *gateway) standby(t *testing.T) *gateway {
	t.Helper()
	world := *g.Gateway
	b := &gateway{Gateway: &world, opts: testOptions(t), service: g.service, listen: g.listen}
	b.GW = nettest.ForTest(t)
	for _, key := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		must(t, b.GW.SetSysctl(key, "1"))
	}
	for link, bridge := range map[string]string{nettest.OutsideLink: "outside", nettest.InsideLink: "inside"} {
		port := "b-" + link
		must(t, nettest.Veth(b.GW, link, g.Switch, port))
		must(t, g.Switch.Plug(bridge, port))
		must(t, g.Switch.AttachPass(port))
	}
	b.open(t)
	b.put(t, g.service)
	b.putTunnelled(t)
	return b
}

// carry tells b of all flows of g, as flow sync would.
func (g *gateway) carry(t *testing.T, b *gateway, want int) map[netip.AddrPort]loader.Flow {
	t.Helper()
	eventually(t, "all flows can be carried", func() bool {
		n := 0
		must(t, g.dp.EachFlow(t.Context(), func(list []loader.FlowRecord) error { n += len(list); return nil }))
		return n == want
	})
	must(t, g.dp.EachFlow(t.Context(), func(list []loader.FlowRecord) error {
		if sum, err := b.dp.ImportFlows(list); err != nil || sum.Made != len(list) {
			t.Errorf("of %d flows %+v were imported (%v)", len(list), sum, err)
		}
		return nil
	}))
	return scan(t, g.dp)
}

// handOver gives b the addresses of g, and tells everybody.
func (g *gateway) handOver(t *testing.T, b *gateway) {
	t.Helper()
	outside, inside := netip.PrefixFrom(g.OutsideAddr.V4, 24), netip.PrefixFrom(g.InsideAddr.V4, 24)
	if g.listen.Addr().Is6() {
		outside, inside = netip.PrefixFrom(g.OutsideAddr.V6, 64), netip.PrefixFrom(g.InsideAddr.V6, 64)
	}
	must(t, b.GW.AddAddr(nettest.OutsideLink, outside))
	must(t, b.GW.AddAddr(nettest.InsideLink, inside))
	must(t, b.GW.AddAddr(nettest.OutsideLink, netip.PrefixFrom(g.listen.Addr(), g.listen.Addr().BitLen())))
	must(t, b.GW.Settled(t.Context()))
	ext, err := b.GW.MAC(nettest.OutsideLink)
	must(t, err)
	int0, err := b.GW.MAC(nettest.InsideLink)
	must(t, err)
	its, err := g.Client.MAC(nettest.HostLink)
	must(t, err)
	knows(t, b.GW, nettest.OutsideLink, g.ClientAddr.Like(g.listen.Addr()), its)
	knows(t, g.Client, nettest.HostLink, g.listen.Addr(), ext)
	for _, backend := range g.Backends {
		knows(t, backend.Namespace, nettest.HostLink, inside.Addr(), int0)
	}
}

// knows notes a neighbour as if it had just spoken.
func knows(t *testing.T, n *nettest.Namespace, link string, addr netip.Addr, mac net.HardwareAddr) {
	t.Helper()
	index, err := n.Index(link)
	must(t, err)
	must(t, n.Netlink().NeighSet(&netlink.Neigh{
		LinkIndex: index, State: netlink.NUD_PERMANENT, IP: addr.AsSlice(), HardwareAddr: mac,
	}))
}

// wantNoFlowsLeft closes the connections: each is seen to end.
func wantNoFlowsLeft(t *testing.T, g *gateway, conns []net.Conn) {
	t.Helper()
	for _, c := range conns {
		must(t, c.Close())
	}
	if g.service.Mode.OneWay() {
		return // the end is seen of one side alone
	}
	eventually(t, "all flows have ended", func() bool {
		counters, err := g.dp.MemberCounters()
		must(t, err)
		for _, c := range counters {
			if c.FlowsOpened+c.FlowsRevived != c.FlowsClosed {
				return false
			}
		}
		return true
	})
}
