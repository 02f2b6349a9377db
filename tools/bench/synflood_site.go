package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
	"sluice/internal/nettest/sshtest"
	"sluice/loader"
)

// besieged is a gateway with a crowd of established flows, a lane for the flood
// and a real SSH client and server on interfaces of their own:
//
//	crowd ── lane ─┐
//	flood ── lane ─┤ gateway ── int0: SSH server
//	client ── ext0 ┘
type besieged struct {
	*rig
	crowd           *gateway
	flood           *lane
	client, backend *nettest.Namespace
	server          *sshtest.Server
	ssh             *sshtest.Client
}

const (
	clientLink, serverLink = "ext0", "int0"

	// What is logged in to, and flooded; the crowd is at another service, whose
	// backend need not be real.
	loginService = loader.ServiceID(1)
	loginMember  = loader.MemberID(loader.MaxMembers - 1)
	loginHop     = loader.NextHopID(2)
	loginPort    = 2022
)

var (
	loginAddr  = netip.AddrPortFrom(vip, loginPort)
	serverAddr = netip.MustParseAddr("10.9.0.11")
	clientAddr = netip.MustParseAddr("192.0.2.100")
)

// besiege builds one. On error nothing is left.
func besiege(ctx context.Context, mode string, crowd int, challenge bool) (b *besieged, err error) {
	b = &besieged{}
	if b.rig, err = newRig(); err != nil {
		return b, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if err := b.hosts(mode); err != nil {
		return b, err
	}
	if b.flood, err = b.lane(); err != nil {
		return b, err
	}
	b.crowd, err = b.gateway(shape{mode, crowd, usualBackends, 1, guardEmpty, false}, clientLink, serverLink, b.flood.nearName())
	if err != nil {
		return b, err
	}
	if err := b.crowd.establish(ctx); err != nil {
		return b, err
	}
	if err := prove(ctx, []*gateway{b.crowd}); err != nil {
		return b, err
	}
	if err := b.crowd.dp.SetGuard(loader.Guard{Challenge: challenge}); err != nil {
		return b, err
	}
	return b, errors.Join(b.serve(ctx), b.publish())
}

func (b *besieged) close() error {
	var errs []error
	if b.server != nil {
		errs = append(errs, b.server.Close())
	}
	errs = append(errs, b.rig.close())
	for _, n := range []*nettest.Namespace{b.client, b.backend} {
		if n != nil {
			errs = append(errs, n.Close())
		}
	}
	return errors.Join(errs...)
}

// hosts makes the client and the server. The VIP is routed to the gateway and
// not its own, so that in dsr the server's answers may pass it.
func (b *besieged) hosts(mode string) (err error) {
	for _, h := range []struct {
		ns       **nettest.Namespace
		near     string
		addr, gw netip.Prefix
	}{
		{&b.client, clientLink, netip.PrefixFrom(clientAddr, 24), netip.MustParsePrefix("192.0.2.1/24")},
		{&b.backend, serverLink, netip.PrefixFrom(serverAddr, 24), netip.MustParsePrefix("10.9.0.1/24")},
	} {
		if *h.ns, err = nettest.New(""); err != nil {
			return err
		}
		if err := nettest.Veth(b.gw, h.near, *h.ns, nettest.HostLink); err != nil {
			return err
		}
		err := errors.Join(b.gw.AddAddr(h.near, h.gw), (*h.ns).AddAddr(nettest.HostLink, h.addr),
			(*h.ns).AttachPass(nettest.HostLink), (*h.ns).SetDefaultRoute(h.gw.Addr()))
		if err != nil {
			return err
		}
	}
	if err := b.client.SetRoute(netip.PrefixFrom(vip, 32), netip.MustParseAddr("192.0.2.1")); err != nil {
		return err
	}
	if modes[mode].Mode != loader.ModeDSR {
		return nil
	}
	return b.backend.AddAddr("lo", netip.PrefixFrom(vip, 32))
}

// serve starts the SSH server and prepares the client.
func (b *besieged) serve(ctx context.Context) (err error) {
	dirs := map[string]string{}
	for _, name := range []string{"client", "server"} {
		dirs[name] = filepath.Join(b.site.dir, name)
		if err := os.Mkdir(dirs[name], 0o700); err != nil {
			return err
		}
	}
	if b.ssh, err = sshtest.NewClient(b.client, dirs["client"]); err != nil {
		return err
	}
	b.server, err = sshtest.Start(ctx, b.backend, sshtest.ServerOptions{
		Name: "server", Dir: dirs["server"],
		Addrs:      []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), loginPort)},
		Authorized: []ssh.PublicKey{b.ssh.PublicKey()},
	})
	if err != nil {
		return err
	}
	return b.ssh.Trust(loginAddr, b.server.HostKey())
}

// publish leads the login service to the server.
func (b *besieged) publish() error {
	index, err := b.gw.Index(serverLink)
	if err != nil {
		return err
	}
	source, err := b.gw.MAC(serverLink)
	if err != nil {
		return err
	}
	destination, err := b.backend.MAC(nettest.HostLink)
	if err != nil {
		return err
	}
	dp, s := b.crowd.dp, b.crowd.service
	s.Listen = loginAddr
	hop := loader.NextHop{Interface: index, Source: source, Destination: destination, MTU: 1500, Ready: true}
	member := loader.Member{Service: loginService, Addr: netip.AddrPortFrom(serverAddr, loginPort), NextHop: loginHop}
	if err := errors.Join(dp.PutNextHop(loginHop, hop), dp.PutService(loginService, s), dp.PutMember(loginMember, member)); err != nil {
		return err
	}
	ring, err := dp.Ring(loginService)
	if err != nil {
		return err
	}
	for i := range loader.RingEntries {
		ring.Set(i, loginMember)
	}
	return dp.Publish(loginService)
}

// state is what a flood must not change.
type state struct {
	flows  int     // of the crowd
	all    int     // entries of everybody
	memory float64 // of all maps, in MB
}

func (b *besieged) look(ctx context.Context) (s state, err error) {
	err = b.crowd.dp.Scan(ctx, func(f loader.Flow) bool {
		s.all++
		if f.Service != loginService && f.State == loader.FlowEstablished {
			s.flows++
		}
		return true
	})
	if err != nil {
		return s, err
	}
	s.memory, err = b.memory()
	return s, err
}

// memory is what the kernel accounts to the pinned maps.
func (b *besieged) memory() (float64, error) {
	paths, err := filepath.Glob(filepath.Join(b.crowd.pins(), "v*", "maps", "*"))
	if err != nil {
		return 0, err
	}
	var sum uint64
	for _, path := range paths {
		m, err := ebpf.LoadPinnedMap(path, nil)
		if err != nil {
			return 0, fmt.Errorf("open %s: %v", path, err)
		}
		info, err := m.Info()
		m.Close()
		if err != nil {
			return 0, fmt.Errorf("look at %s: %v", path, err)
		}
		bytes, _ := info.Memlock()
		sum += bytes
	}
	return float64(sum) / 1e6, nil
}
