package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
	"sluice/internal/nettest/sshtest"
)

// ends are what stands at both ends of the gateway's connections.
type ends struct {
	servers []*sshtest.Server // one per backend
	client  *sshtest.Client   // in the client's namespace
}

// place is where the ends are.
type place struct {
	site     *site
	client   *nettest.Namespace
	backends []*nettest.Backend
	vips     []netip.AddrPort
	builtIn  bool
}

// start starts an SSH server on each backend, and makes the client. The servers
// share one host key, as the backends behind one VIP must: a client knows the
// VIP by one key. On error close takes what was started.
func (e *ends) start(ctx context.Context, p place) error {
	dir, err := p.site.mkdir("client")
	if err != nil {
		return err
	}
	if e.client, err = sshtest.NewClient(p.client, dir); err != nil {
		return err
	}
	if p.builtIn {
		e.client.UseBuiltIn()
	}
	hostKey, err := sshtest.NewKey()
	if err != nil {
		return err
	}
	for _, b := range p.backends {
		if err := e.startServer(ctx, p, b, hostKey); err != nil {
			return err
		}
	}
	for _, vip := range p.vips {
		if err := e.client.Trust(vip, hostKey.Public()); err != nil {
			return err
		}
	}
	return nil
}

// startServer starts the SSH server of one backend, which tells each session the
// backend's label.
func (e *ends) startServer(ctx context.Context, p place, b *nettest.Backend, hostKey sshtest.Key) error {
	dir, err := p.site.mkdir(b.Label)
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
		BuiltIn:    p.builtIn,
		HostKey:    hostKey,
		Authorized: []ssh.PublicKey{e.client.PublicKey()},
	})
	if err != nil {
		return err
	}
	e.servers = append(e.servers, s)
	return nil
}

// software names what the backends run, and why where it is not OpenSSH.
func (e *ends) software(asked bool) string {
	switch s := e.servers[0]; {
	case !s.BuiltIn():
		return s.Software()
	case asked:
		return "a built-in SSH server, as asked for"
	default:
		return "a built-in SSH server, since no sshd is installed (apt install openssh-server)"
	}
}

// logins logs in once through each VIP and says where that led.
func (e *ends) logins(ctx context.Context, vips []netip.AddrPort) (string, error) {
	var found []string
	for _, vip := range vips {
		name, err := e.client.Backend(ctx, vip)
		if err != nil {
			return "", err
		}
		found = append(found, fmt.Sprintf("%s led to %s", vip.Addr(), name))
	}
	return strings.Join(found, ", "), nil
}

func (e *ends) close() error {
	var errs []error
	for _, s := range e.servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// listens returns where the services listen.
func listens(vips []netip.Addr) []netip.AddrPort {
	var at []netip.AddrPort
	for _, a := range vips {
		at = append(at, netip.AddrPortFrom(a, sshPort))
	}
	return at
}
