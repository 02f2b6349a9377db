package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// cluster is a lab of two or three gateways that stand in for each other. What
// is nil is not up, or not yet.
type cluster struct {
	options
	report report

	site    *site
	network *nettest.Cluster
	ends

	// mu is held by whoever breaks or heals a gateway.
	mu    sync.Mutex
	nodes []*node
}

// node is one gateway with what runs in it.
type node struct {
	gateway  *nettest.ClusterGateway
	sluice   *sluice
	settings string
	dir      string
}

// up brings everything up, in the order in which one needs the other.
func (c *cluster) up(ctx context.Context) error {
	return bringUp(ctx, c.name, c.report, &c.site, c.buildNetwork, c.startServers, c.startNodes)
}

// down takes everything down in reverse order, as a lab of one gateway is.
func (c *cluster) down() error {
	var errs []error
	for _, n := range c.nodes {
		errs = append(errs, n.stop())
	}
	errs = append(errs, c.ends.close())
	if c.network != nil {
		errs = append(errs, c.network.Close())
	}
	return c.site.takeDown(errs...)
}

func (c *cluster) place() string { return c.site.at() }

func (c *cluster) buildNetwork(context.Context) error {
	network, err := nettest.NewCluster(nettest.ClusterOptions{
		Name: c.name, Gateways: c.gateways, Backends: c.backends, DSR: c.mode == "dsr",
	})
	if err != nil {
		return err
	}
	c.network = network
	c.report.line("network", "%s %s, VIPs %s and inside %s", network.Client.Name(), network.ClientAddr.V4, joined(network.VIPs()), network.InsideVIP.V4)
	for _, g := range network.Gateways {
		c.report.line("network", "%s %s, inside %s, heartbeat %s", g.Name(), g.Ext.V4, g.Int.V4, g.Heartbeat.V4)
	}
	return nil
}

func (c *cluster) startServers(ctx context.Context) error {
	p := place{site: c.site, client: c.network.Client, backends: c.network.Backends, vips: c.vips(), builtIn: c.builtIn}
	if err := c.ends.start(ctx, p); err != nil {
		return err
	}
	c.report.line("backends", "%s; the client is %s", c.software(c.builtIn), c.client.Software())
	return nil
}

// vips returns where the services listen, IPv4's first.
func (c *cluster) vips() []netip.AddrPort { return listens(c.network.VIPs()) }

// startNodes writes each gateway's settings and starts "sluice run" there.
func (c *cluster) startNodes(ctx context.Context) error {
	key := clusterKey()
	for _, g := range c.network.Gateways {
		n, err := c.newNode(g, key)
		if err != nil {
			return err
		}
		c.nodes = append(c.nodes, n)
		if err := n.sluice.start(n.settings); err != nil {
			return fmt.Errorf("start sluice run on %s: %v", g.Label, err)
		}
	}
	for _, n := range c.nodes {
		status, err := n.sluice.ready(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", n.gateway.Label, err)
		}
		c.report.line("steering", "%s, node process %d, all backends up", n.gateway.Label, status.PID)
	}
	active, err := c.active(ctx)
	if err != nil {
		return err
	}
	c.report.line("active", "%s has the VIPs", active.label())
	return nil
}

// stop is a real stop where it runs. What was frozen could not.
func (n *node) stop() error { return errors.Join(n.gateway.Continue(), n.sluice.stop()) }

// powerOff takes with the gateway's memory what was pinned there.
func (n *node) powerOff() error {
	if err := n.gateway.PowerOff(); err != nil {
		return err
	}
	<-n.sluice.ended
	pins := n.dir + "/" + bpffsName
	err := unix.Unmount(pins, unix.MNT_DETACH)
	// EINVAL, ENOENT: it had not got so far.
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %v", pins, err)
	}
	return nil
}

// restore heals the gateway, and starts "sluice run" again where it has ended.
func (n *node) restore() error {
	if err := n.gateway.Restore(); err != nil {
		return err
	}
	select {
	case <-n.sluice.ended:
		return n.sluice.start(n.settings)
	default:
		return nil
	}
}

// label is the gateway's, for people.
func (n *node) label() string { return n.gateway.Label }
