package nettest

import (
	"context"
	"fmt"
	"net/netip"
)

// clusterBridge is the bridge in each switch of a [Cluster].
const clusterBridge = "bridge"

// build makes the namespaces and wires them. Each is known to Close as soon as
// it exists.
func (c *Cluster) build(o ClusterOptions) error {
	steps := []func(ClusterOptions) error{
		c.buildSwitches, c.buildClient, c.buildRouter, c.buildGateways, c.buildBackends,
	}
	for _, step := range steps {
		if err := step(o); err != nil {
			return fmt.Errorf("build cluster: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	return c.Settled(ctx)
}

func (c *Cluster) buildSwitches(ClusterOptions) (err error) {
	for label, n := range map[string]**Namespace{"ext": &c.Ext, "int": &c.Int, "hb": &c.Heartbeat} {
		if *n, err = c.make(label); err != nil {
			return err
		}
		if err := (*n).Bridge(clusterBridge); err != nil {
			return err
		}
	}
	return nil
}

// buildClient gives the client the way to the inside through the VIP.
func (c *Cluster) buildClient(ClusterOptions) (err error) {
	if c.Client, err = c.make("client"); err != nil {
		return err
	}
	to := outlet{in: c.Ext, bridge: clusterBridge, port: "client"}
	if err := connect(c.Client, HostLink, to, clusterExt.prefixes(clientHost)); err != nil {
		return err
	}
	for _, dst := range []netip.Prefix{clusterInt.v4, clusterInt.v6} {
		if err := c.Client.SetRoute(dst, c.VIP.Like(dst.Addr())); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) buildRouter(ClusterOptions) (err error) {
	if c.Router, err = c.make("router"); err != nil {
		return err
	}
	if err := c.Router.forward(); err != nil {
		return err
	}
	ext := outlet{in: c.Ext, bridge: clusterBridge, port: "router"}
	if err := connect(c.Router, OutsideLink, ext, clusterExt.prefixes(routerHost)); err != nil {
		return err
	}
	inside := outlet{in: c.Int, bridge: clusterBridge, port: "router"}
	if err := connect(c.Router, InsideLink, inside, clusterInt.prefixes(routerHost)); err != nil {
		return err
	}
	return c.Router.addAddrs("lo", singles([]netip.Addr{c.Beyond.V4, c.Beyond.V6}))
}

func (c *Cluster) buildGateways(o ClusterOptions) error {
	for i := range o.Gateways {
		label := "gw-" + string(rune('a'+i))
		n, err := c.make(label)
		if err != nil {
			return err
		}
		g := &ClusterGateway{
			Namespace: n, Label: label, ports: make(map[string]*port),
			Ext: clusterExt.pair(clusterHosts[i]), Int: clusterInt.pair(clusterHosts[i]), Heartbeat: clusterHeartbeats[i],
		}
		c.Gateways = append(c.Gateways, g)
		if err := c.wire(g, clusterHosts[i], o.Gateways); err != nil {
			return err
		}
	}
	if a, b := c.Gateways[0], c.Gateways[1]; o.Gateways == 2 {
		a.peer, b.peer = b.ports[HeartbeatLink], a.ports[HeartbeatLink]
	}
	return nil
}

// wire plugs a gateway in. Its ports have what XDP needs, and room for faults.
func (c *Cluster) wire(g *ClusterGateway, host, gateways int) error {
	if err := g.forward(); err != nil {
		return err
	}
	for _, cable := range []struct {
		link  string
		in    *Namespace
		addrs []netip.Prefix
	}{
		{OutsideLink, c.Ext, clusterExt.prefixes(host)},
		{InsideLink, c.Int, clusterInt.prefixes(host)},
		{HeartbeatLink, c.Heartbeat, heartbeatPrefixes(g.Heartbeat, gateways)},
	} {
		to := outlet{in: cable.in, bridge: clusterBridge, port: g.Label}
		if err := connect(g.Namespace, cable.link, to, cable.addrs); err != nil {
			return err
		}
		if err := cable.in.AttachPass(g.Label); err != nil {
			return err
		}
		p, err := newPort(cable.in, g.Label)
		if err != nil {
			return err
		}
		g.ports[cable.link] = p
	}
	links, err := g.nl.LinkList()
	if err != nil {
		return err
	}
	for _, l := range links {
		g.born = append(g.born, l.Attrs().Name)
	}
	return g.routeOut()
}

// routeOut sets the gateway's way to what is behind the router.
func (g *ClusterGateway) routeOut() error {
	for _, via := range both(clusterExt.pair(routerHost)) {
		if err := g.SetDefaultRoute(via); err != nil {
			return err
		}
	}
	return nil
}

// buildBackends numbers the backends from 1, as people do.
func (c *Cluster) buildBackends(o ClusterOptions) error {
	router := c.InsideVIP
	if o.Direct {
		router = clusterInt.pair(routerHost)
	}
	for i := range o.Backends {
		label := fmt.Sprintf("b%d", i+1)
		n, err := c.make(label)
		if err != nil {
			return err
		}
		b := &Backend{Namespace: n, Label: label, Addr: clusterInt.pair(backendHost + i)}
		c.Backends = append(c.Backends, b)
		to := outlet{in: c.Int, bridge: clusterBridge, port: label}
		if err := connect(n, HostLink, to, clusterInt.prefixes(backendHost+i)); err != nil {
			return err
		}
		for _, via := range both(router) {
			if err := b.SetDefaultRoute(via); err != nil {
				return err
			}
		}
		if o.DSR {
			if err := b.holdVIPs(c.VIPs()); err != nil {
				return err
			}
		}
	}
	return nil
}
