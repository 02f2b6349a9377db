package main

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
	"sluice/internal/nettest/sshtest"
)

// sshPort is where the lab's services and backends listen.
const sshPort = 22

// lab is all that is up. What is nil is not up, or not yet.
type lab struct {
	options
	report report

	site    *site
	network *nettest.Gateway
	servers []*sshtest.Server // one per backend
	client  *sshtest.Client   // in the client's namespace
	sluice  *sluice           // in the gateway's
}

// up brings everything up, in the order in which one needs the other.
func (l *lab) up(ctx context.Context) error {
	site, swept, err := openSite(l.name)
	if err != nil {
		return err
	}
	l.site = site
	if swept {
		l.report.line("swept", "what a lab that died had left")
	}
	for _, step := range []func(context.Context) error{l.buildNetwork, l.startServers, l.startSluice} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// down takes everything down in reverse order; sluice first, and properly, so
// that it takes XDP off itself. What fails does not keep the rest from going;
// the site stays then, for the next lab to find the leftovers by.
func (l *lab) down() error {
	var errs []error
	if l.sluice != nil {
		errs = append(errs, l.sluice.stop())
	}
	for _, s := range l.servers {
		errs = append(errs, s.Close())
	}
	if l.network != nil {
		errs = append(errs, l.network.Close())
	}
	if l.site == nil {
		return nil
	}
	if err := errors.Join(errs...); err != nil {
		return errors.Join(err, l.site.abandon())
	}
	return l.site.close()
}

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

// startServers starts an SSH server on each backend. They share one host key,
// as the backends behind one VIP must: a client knows the VIP by one key.
func (l *lab) startServers(ctx context.Context) error {
	dir, err := l.site.mkdir("client")
	if err != nil {
		return err
	}
	if l.client, err = sshtest.NewClient(l.network.Client, dir); err != nil {
		return err
	}
	if l.builtIn {
		l.client.UseBuiltIn()
	}
	hostKey, err := sshtest.NewKey()
	if err != nil {
		return err
	}
	for _, b := range l.network.Backends {
		if err := l.startServer(ctx, b, hostKey); err != nil {
			return err
		}
	}
	for _, vip := range l.vips() {
		if err := l.client.Trust(vip, hostKey.Public()); err != nil {
			return err
		}
	}
	l.report.line("backends", "%s; the client is %s", l.software(), l.client.Software())
	return nil
}

// startServer starts the SSH server of one backend, which tells each session the
// backend's label.
func (l *lab) startServer(ctx context.Context, b *nettest.Backend, hostKey sshtest.Key) error {
	dir, err := l.site.mkdir(b.Label)
	if err != nil {
		return err
	}
	s, err := sshtest.Start(ctx, b.Namespace, sshtest.ServerOptions{
		Name: b.Label,
		Dir:  dir,
		// All addresses: in dsr the VIP is one of the backend's own.
		Addrs: []netip.AddrPort{
			netip.AddrPortFrom(netip.IPv4Unspecified(), sshPort),
			netip.AddrPortFrom(netip.IPv6Unspecified(), sshPort),
		},
		BuiltIn:    l.builtIn,
		HostKey:    hostKey,
		Authorized: []ssh.PublicKey{l.client.PublicKey()},
	})
	if err != nil {
		return err
	}
	l.servers = append(l.servers, s)
	return nil
}

// vips returns where the services listen, IPv4's first.
func (l *lab) vips() []netip.AddrPort {
	var vips []netip.AddrPort
	for _, a := range l.network.VIPs {
		vips = append(vips, netip.AddrPortFrom(a, sshPort))
	}
	return vips
}

// software names what the backends run, and why where it is not OpenSSH.
func (l *lab) software() string {
	switch s := l.servers[0]; {
	case !s.BuiltIn():
		return s.Software()
	case l.builtIn:
		return "a built-in SSH server, as asked for"
	default:
		return "a built-in SSH server, since no sshd is installed (apt install openssh-server)"
	}
}

func joined(addrs []netip.Addr) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, " and ")
}
