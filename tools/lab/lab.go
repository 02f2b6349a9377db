package main

import (
	"context"
	"net/netip"
	"strings"

	"sluice/internal/nettest"
)

// sshPort is where the lab's services and backends listen.
const sshPort = 22

// lab is all that is up. What is nil is not up, or not yet.
type lab struct {
	options
	report report

	site    *site
	network *nettest.Gateway
	sluice  *sluice // in the gateway's namespace
	ends
}

// up brings everything up, in the order in which one needs the other.
func (l *lab) up(ctx context.Context) error {
	return bringUp(ctx, l.name, l.report, &l.site, l.buildNetwork, l.startServers, l.startSluice)
}

// down takes everything down in reverse order; sluice first, and properly, so
// that it takes XDP off itself. What fails does not keep the rest from going;
// the site stays then, for the next lab to find the leftovers by.
func (l *lab) down() error {
	var errs []error
	if l.sluice != nil {
		errs = append(errs, l.sluice.stop())
	}
	errs = append(errs, l.ends.close())
	if l.network != nil {
		errs = append(errs, l.network.Close())
	}
	return l.site.takeDown(errs...)
}

// place is the lab's directory, or "" where there is none.
func (l *lab) place() string { return l.site.at() }

// buildNetwork gives dsr backends the VIPs, as they must have them, and the
// replies a way past the gateway.
func (l *lab) buildNetwork(context.Context) error {
	o := nettest.GatewayOptions{Name: l.name, Backends: l.backends}
	if l.mode == "dsr" {
		o.DSR = nettest.DefaultVIPs()
	}
	network, err := nettest.NewGateway(o)
	if err != nil {
		return err
	}
	l.network = network
	first, last := network.Backends[0], network.Backends[len(network.Backends)-1]
	l.report.line("network", "%s %s, %s %s with VIPs %s, %s to %s %s to %s",
		network.Client.Name(), network.ClientAddr.V4, network.GW.Name(), network.OutsideAddr.V4,
		joined(network.VIPs), first.Name(), last.Name(), first.Addr.V4, last.Addr.V4)
	return nil
}

func (l *lab) startServers(ctx context.Context) error {
	p := place{site: l.site, client: l.network.Client, backends: l.network.Backends, vips: l.vips(), builtIn: l.builtIn}
	if err := l.ends.start(ctx, p); err != nil {
		return err
	}
	l.report.line("backends", "%s; the client is %s", l.software(l.builtIn), l.client.Software())
	return nil
}

// vips returns where the services listen, IPv4's first.
func (l *lab) vips() []netip.AddrPort { return listens(l.network.VIPs) }

func joined(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, " and ")
}
