package health

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/internal/nettest"
	"sluice/loader"
)

// dsrGateway is a gateway with the real programs and one dsr service per VIP.
type dsrGateway struct {
	*nettest.Gateway
	dp   *loader.Dataplane
	link *Link
}

func newDSRGateway(t *testing.T) *dsrGateway {
	t.Helper()
	g := &dsrGateway{Gateway: nettest.GatewayForTest(t, nettest.GatewayOptions{Backends: 2, DSR: nettest.DefaultVIPs()})}
	options := loader.Options{
		Dir:        filepath.Join(nettest.BPFFS(t), "sluice"),
		Interfaces: []string{nettest.OutsideLink, nettest.InsideLink},
		XDP:        loader.XDPNative, MaxFlows: 4096, Key: [16]byte{1},
	}
	must(t, g.GW.Do(func() (err error) {
		if g.dp, err = loader.Open(options); err != nil {
			return err
		}
		t.Cleanup(func() { g.dp.Close() })
		g.link, err = OpenLink(g.dp)
		return err
	}))
	for i, vip := range g.VIPs {
		id := loader.ServiceID(i + 1)
		must(t, g.dp.PutService(id, loader.Service{Listen: netip.AddrPortFrom(vip, 22), Mode: loader.ModeDSR}))
		must(t, g.dp.Publish(id))
		for j, b := range g.Backends {
			hop := loader.NextHopID(1 + j)
			must(t, g.dp.PutNextHop(hop, g.nextHop(t, b)))
			must(t, g.dp.PutMember(g.member(i, j), loader.Member{
				Service: id, Addr: netip.AddrPortFrom(b.Addr.Like(vip), 22), NextHop: hop,
			}))
		}
	}
	return g
}

func (g *dsrGateway) member(vip, backend int) loader.MemberID {
	return loader.MemberID(1 + vip*len(g.Backends) + backend)
}

func (g *dsrGateway) nextHop(t *testing.T, b *nettest.Backend) loader.NextHop {
	t.Helper()
	index, own, its, err := g.Beside(b)
	must(t, err)
	return loader.NextHop{Interface: index, Source: own, Destination: its, MTU: 1500, Ready: true}
}

// target is the check of a backend for a VIP.
func (g *dsrGateway) target(t *testing.T, vip, backend int) Target {
	t.Helper()
	check, err := g.link.Add(g.member(vip, backend), g.VIPs[vip])
	must(t, err)
	b := g.Backends[backend]
	return Target{
		Name: b.Label, Backend: netip.AddrPortFrom(b.Addr.Like(g.VIPs[vip]), 22), Dial: netip.AddrPortFrom(check, 22),
		Avoid: g.VIPs, Settings: Settings{Timeout: time.Second},
	}
}

func (g *dsrGateway) probe(t *testing.T, target Target) (out Outcome) {
	t.Helper()
	must(t, g.GW.Do(func() error { out = Probe(t.Context(), target); return nil }))
	return out
}

// A dsr backend is dialled at the VIP, which the node itself holds, and every
// answer finds its way: a banner, a refusal, and none.
func TestDSRChecksTakeTheRealPath(t *testing.T) {
	t.Parallel()
	g := newDSRGateway(t)
	// As on a node that was hardened by the book and routes by source address.
	for _, name := range []string{"all", "default", nettest.InsideLink, nettest.OutsideLink} {
		must(t, g.GW.SetSysctl("net/ipv4/conf/"+name+"/rp_filter", "1"))
	}
	for i, vip := range g.VIPs {
		g.routeBySource(t, g.InsideAddr.Like(vip), g.Backends[0].Addr.Like(vip))
		first, second := g.target(t, i, 0), g.target(t, i, 1)
		if out := g.probe(t, first); out.Err == nil || out.Err.Error() != "connection refused" {
			t.Errorf("%s without a server: %+v, want a refusal", vip, out)
		}
		for j, b := range g.Backends {
			nettest.ServeForTest(t, b.Namespace, netip.AddrPortFrom(vip, 22), nettest.ServerOptions{
				Banner: "SSH-2.0-" + b.Label + "\r\n",
			})
			target := []Target{first, second}[j]
			for range 3 {
				out := g.probe(t, target)
				if out.Err != nil || out.Identification != "SSH-2.0-"+b.Label || out.Source != g.InsideAddr.Like(vip) {
					t.Errorf("%s at %s: %+v, want its banner, dialled from %s", vip, b.Label, out, g.InsideAddr.Like(vip))
				}
			}
		}
		// The backend lost the VIP: it is alive, and for this service it is not.
		must(t, g.Backends[0].DelAddr("lo", netip.PrefixFrom(vip, vip.BitLen())))
		if out := g.probe(t, first); out.Err == nil {
			t.Errorf("%s: a backend without the VIP passes: %+v", vip, out)
		}
		if out := g.probe(t, second); out.Err != nil {
			t.Errorf("%s: the other backend: %v", vip, out.Err)
		}
	}
	if out := g.probe(t, g.withoutMember(t)); out.Err == nil {
		t.Errorf("a check address without a member passes: %+v", out)
	}
}

// routeBySource sends everything from an address that is not for its own network
// to a router, by a rule and a table of its own.
func (g *dsrGateway) routeBySource(t *testing.T, from, router netip.Addr) {
	t.Helper()
	const table = 100
	rule := netlink.NewRule()
	rule.Table, rule.Priority = table, 100
	rule.Src = &net.IPNet{IP: from.AsSlice(), Mask: net.CIDRMask(from.BitLen(), from.BitLen())}
	must(t, g.GW.Netlink().RuleAdd(rule))
	inside, err := g.GW.Netlink().LinkByName(nettest.InsideLink)
	must(t, err)
	for _, way := range []netlink.Route{
		{Gw: router.AsSlice(), Dst: &net.IPNet{IP: make(net.IP, from.BitLen()/8), Mask: net.CIDRMask(0, from.BitLen())}},
		{Dst: &net.IPNet{IP: router.AsSlice(), Mask: net.CIDRMask(from.BitLen(), from.BitLen())}},
	} {
		way.LinkIndex, way.Table = inside.Attrs().Index, table
		if way.Gw != nil {
			way.Flags = int(netlink.FLAG_ONLINK)
		}
		must(t, g.GW.Netlink().RouteAdd(&way))
	}
}

// withoutMember is a target whose check address was taken away.
func (g *dsrGateway) withoutMember(t *testing.T) Target {
	t.Helper()
	target := g.target(t, 0, 1)
	must(t, g.link.Remove(target.Dial.Addr()))
	return target
}

// Many checks at a time from one address to one VIP: each must hear its own
// backend, since behind XDP their connections differ by the source port alone.
func TestDSRChecksDoNotMix(t *testing.T) {
	g := newDSRGateway(t)
	vip := g.VIPs[0]
	for _, b := range g.Backends {
		nettest.ServeForTest(t, b.Namespace, netip.AddrPortFrom(vip, 22), nettest.ServerOptions{Banner: "SSH-2.0-" + b.Label + "\r\n"})
	}
	// Hardly more ports than checks, so that a port that serves two would show.
	must(t, g.GW.SetSysctl("net/ipv4/ip_local_port_range", "40000 40255"))
	targets := []Target{g.target(t, 0, 0), g.target(t, 0, 1)}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	results := make(chan error)
	const checks = 60
	for n := range checks {
		go func() {
			target := targets[n%2]
			target.Settings.Timeout = 10 * time.Second
			var out Outcome
			err := g.GW.Do(func() error { out = Probe(ctx, target); return out.Err })
			if err == nil && out.Identification != "SSH-2.0-"+target.Name {
				err = errors.New(target.Name + " was asked and " + out.Identification + " answered")
			}
			results <- err
		}()
	}
	for range checks {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}
