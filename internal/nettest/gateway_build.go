package nettest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
)

// The bridges of the switch.
const (
	outsideBridge = "outside"
	insideBridge  = "inside"
)

// build makes the namespaces and wires them. Each is known to Close as soon as
// it exists.
func (g *Gateway) build(o GatewayOptions) error {
	steps := []func(GatewayOptions) error{
		g.buildSwitch, g.buildClient, g.buildGateway, g.buildBackends,
	}
	for _, step := range steps {
		if err := step(o); err != nil {
			return fmt.Errorf("build gateway: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	return g.Settled(ctx)
}

// buildSwitch makes the two bridges and the router between them. It comes first:
// all others plug into it.
func (g *Gateway) buildSwitch(GatewayOptions) (err error) {
	if g.Switch, err = g.make("switch"); err != nil {
		return err
	}
	if err := g.Switch.forward(); err != nil {
		return err
	}
	for bridge, s := range map[string]segment{outsideBridge: outside, insideBridge: inside} {
		if err := g.Switch.Bridge(bridge); err != nil {
			return err
		}
		if err := g.Switch.addAddrs(bridge, s.prefixes(routerHost)); err != nil {
			return err
		}
	}
	return nil
}

// buildClient gives the client a way to the backends through the gateway's
// kernel, for tests that compare steering with plain forwarding.
func (g *Gateway) buildClient(GatewayOptions) (err error) {
	if g.Client, err = g.make("client"); err != nil {
		return err
	}
	if err := g.connect(g.Client, HostLink, outsideBridge, "client", outside.prefixes(clientHost)); err != nil {
		return err
	}
	for _, dst := range []netip.Prefix{inside.v4, inside.v6} {
		if err := g.Client.SetRoute(dst, g.OutsideAddr.Like(dst.Addr())); err != nil {
			return err
		}
	}
	return nil
}

// buildGateway puts XDP_PASS on the far ends of both links, so that whatever the
// gateway's own program sends by XDP arrives.
func (g *Gateway) buildGateway(o GatewayOptions) (err error) {
	if g.GW, err = g.make("gw"); err != nil {
		return err
	}
	if err := g.GW.forward(); err != nil {
		return err
	}
	ends := []struct {
		link, bridge, port string
		addrs              []netip.Prefix
	}{
		{OutsideLink, outsideBridge, "gw-ext", outside.prefixes(gatewayHost)},
		{InsideLink, insideBridge, "gw-int", inside.prefixes(gatewayHost)},
	}
	for _, e := range ends {
		if err := g.connect(g.GW, e.link, e.bridge, e.port, e.addrs); err != nil {
			return err
		}
		if err := g.Switch.AttachPass(e.port); err != nil {
			return err
		}
	}
	return g.GW.addAddrs(OutsideLink, singles(o.VIPs))
}

// buildBackends numbers the backends from 1, as people do.
func (g *Gateway) buildBackends(o GatewayOptions) error {
	for i := range o.Backends {
		label := fmt.Sprintf("b%d", i+1)
		n, err := g.make(label)
		if err != nil {
			return err
		}
		b := &Backend{Namespace: n, Label: label, Addr: inside.pair(backendHost + i)}
		g.Backends = append(g.Backends, b)
		if err := g.connect(n, HostLink, insideBridge, label, inside.prefixes(backendHost+i)); err != nil {
			return err
		}
		if err := g.routeBackend(b, o); err != nil {
			return err
		}
		if err := b.holdVIPs(o.DSR); err != nil {
			return err
		}
	}
	return nil
}

// routeBackend sets the way of what a backend answers.
func (g *Gateway) routeBackend(b *Backend, o GatewayOptions) error {
	router := g.InsideAddr
	if o.Direct {
		router = inside.pair(routerHost)
	}
	for _, via := range []netip.Addr{router.V4, router.V6} {
		if err := b.SetDefaultRoute(via); err != nil {
			return err
		}
	}
	for _, vip := range o.VIPs {
		// What is on lo is its own, there is no way to it.
		if slices.Contains(o.DSR, vip) {
			continue
		}
		if err := b.SetRoute(single(vip), g.InsideAddr.Like(vip)); err != nil {
			return err
		}
	}
	return nil
}

// holdVIPs lets the backend take packets for VIPs that it must not be asked for:
// it answers ARP on eth0 for eth0's own address alone, and names no other in its
// own requests. IPv6 neighbour discovery behaves so by itself.
func (b *Backend) holdVIPs(vips []netip.Addr) error {
	if len(vips) == 0 {
		return nil
	}
	if err := b.SetSysctl("net/ipv4/conf/all/arp_ignore", "1"); err != nil {
		return err
	}
	if err := b.SetSysctl("net/ipv4/conf/all/arp_announce", "2"); err != nil {
		return err
	}
	return b.addAddrs("lo", singles(vips))
}

// connect plugs a host into a bridge of the switch.
func (g *Gateway) connect(n *Namespace, link, bridge, port string, addrs []netip.Prefix) error {
	return connect(n, link, outlet{in: g.Switch, bridge: bridge, port: port, mtu: g.mtu}, addrs)
}

func (n *Namespace) addAddrs(link string, addrs []netip.Prefix) error {
	for _, a := range addrs {
		if err := n.AddAddr(link, a); err != nil {
			return err
		}
	}
	return nil
}

// forward makes the namespace a router for both families.
func (n *Namespace) forward() error {
	if err := n.SetSysctl("net/ipv4/ip_forward", "1"); err != nil {
		return err
	}
	return n.SetSysctl("net/ipv6/conf/all/forwarding", "1")
}

func singles(addrs []netip.Addr) []netip.Prefix {
	prefixes := make([]netip.Prefix, len(addrs))
	for i, a := range addrs {
		prefixes[i] = single(a)
	}
	return prefixes
}
