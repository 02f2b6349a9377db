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

// besieged is a gateway with a crowd of established flows, a lane for the flood,
// and real clients and servers on interfaces of their own:
//
//	flood ──────── lane ─┐
//	crowd, client ─ ext0 ┴ gateway ── int0: servers
type besieged struct {
	*rig
	gateway         *gateway
	client, backend *nettest.Namespace
	server          *sshtest.Server
	ssh             *sshtest.Client
	crowd           nettest.Conns
	stranger        netip.Addr // who logged in last
}

const (
	clientLink, serverLink = "ext0", "int0"

	// What is logged in to and where the crowd is, both of which are flooded.
	// Service 0 is the lane's.
	loginService = loader.ServiceID(1)
	crowdService = loader.ServiceID(2)
	loginMember  = loader.MemberID(loader.MaxMembers - 1)
	crowdMember  = loader.MemberID(loader.MaxMembers - 2)
	serverHop    = loader.NextHopID(2)
	loginPort    = 2022
	crowdPort    = loginPort + 1
)

var (
	loginAddr  = netip.AddrPortFrom(vip, loginPort)
	crowdAddr  = netip.AddrPortFrom(vip, crowdPort)
	serverAddr = netip.MustParseAddr("10.9.0.11")
	clientGate = netip.MustParseAddr("192.0.2.1")
	clientAddr = netip.MustParseAddr("192.0.2.100")     // the crowd's, and the strangers' router
	strangers  = netip.MustParsePrefix("198.18.0.0/16") // who log in
	// sshAddr is where the SSH server listens behind what reads PROXY headers.
	sshAddr = netip.MustParseAddrPort("127.0.0.1:2222")
)

// besiege builds one. On error nothing is left.
func besiege(ctx context.Context, s siege, o floodOptions) (b *besieged, err error) {
	b = &besieged{stranger: strangers.Addr()}
	for _, program := range []string{"ssh", "sshd"} {
		if _, err := nettest.FindProgram(program); err != nil {
			return nil, err
		}
	}
	if b.rig, err = newRig(); err != nil {
		return b, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	b.rig.young = o.young
	if err := b.hosts(s.mode); err != nil {
		return b, err
	}
	b.gateway, err = b.rig.gateway(shape{Mode: s.mode, Backends: 1, Services: 1, Guard: guardEmpty}, clientLink, serverLink)
	if err != nil {
		return b, err
	}
	if err := b.serve(ctx, modes[s.mode].Proxy); err != nil {
		return b, err
	}
	if err := b.publish(); err != nil {
		return b, err
	}
	if err := b.gateway.dp.SetGuard(loader.Guard{Challenge: s.challenge}); err != nil {
		return b, err
	}
	return b, b.gather(ctx, o.crowd, o.young)
}

func (b *besieged) close() error {
	errs := []error{b.crowd.Close()}
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
		{&b.client, clientLink, netip.PrefixFrom(clientAddr, 24), netip.PrefixFrom(clientGate, 24)},
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
	if err := b.routeClients(); err != nil {
		return err
	}
	if modes[mode].Mode != loader.ModeDSR {
		return nil
	}
	return b.backend.AddAddr("lo", netip.PrefixFrom(vip, 32))
}

// routeClients gives the gateway a way to its clients that it knows without
// asking: nobody resolves neighbours here, as the product does.
func (b *besieged) routeClients() error {
	index, err := b.gw.Index(clientLink)
	if err != nil {
		return err
	}
	mac, err := b.client.MAC(nettest.HostLink)
	if err != nil {
		return err
	}
	return errors.Join(
		setNeighbour(b.gw, index, clientAddr, mac),
		b.gw.SetRoute(strangers, clientAddr),
		b.client.SetRoute(netip.PrefixFrom(vip, 32), clientGate),
	)
}

// serve starts the servers and prepares the client.
func (b *besieged) serve(ctx context.Context, proxy bool) (err error) {
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
		Name: "server", Dir: dirs["server"], Addrs: []netip.AddrPort{sshAddr},
		Authorized: []ssh.PublicKey{b.ssh.PublicKey()},
	})
	if err != nil {
		return err
	}
	stop, err := startBackend(b.backend, backendPorts{proxy: proxy, echo: crowdPort, relay: loginPort, ssh: sshAddr})
	if err != nil {
		return err
	}
	b.later(stop)
	return b.ssh.Trust(loginAddr, b.server.HostKey())
}

// publish leads the services to the servers.
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
	hop := loader.NextHop{Interface: index, Source: source, Destination: destination, MTU: 1500, Ready: true}
	return errors.Join(
		b.gateway.dp.PutNextHop(serverHop, hop),
		b.lead(loginService, loginAddr, loginMember),
		b.lead(crowdService, crowdAddr, crowdMember),
	)
}

// lead makes a service whose only member is the servers' host.
func (b *besieged) lead(id loader.ServiceID, listen netip.AddrPort, only loader.MemberID) error {
	dp, s := b.gateway.dp, b.gateway.service
	s.Listen = listen
	member := loader.Member{Service: id, Addr: netip.AddrPortFrom(serverAddr, listen.Port()), NextHop: serverHop}
	if err := errors.Join(dp.PutService(id, s), dp.PutMember(only, member)); err != nil {
		return err
	}
	ring, err := dp.Ring(id)
	if err != nil {
		return err
	}
	for i := range loader.RingEntries {
		ring.Set(i, only)
	}
	return dp.Publish(id)
}

// memory is what the kernel accounts to the pinned maps.
func (b *besieged) memory() (float64, error) {
	paths, err := filepath.Glob(filepath.Join(b.gateway.pins(), "v*", "maps", "*"))
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
