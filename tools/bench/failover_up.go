package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
	"sluice/internal/nettest/sshtest"
	"sluice/tools/bench/blackout"
)

// up builds the gateways, starts everything and returns when the first gateway
// is active, the others stand by, and connections are open.
func (t *trial) up(ctx context.Context, dir string, connections int) (err error) {
	if t.cluster, err = nettest.NewCluster(nettest.ClusterOptions{Backends: 2}); err != nil {
		return err
	}
	t.later(t.cluster.Close)
	var ports []string
	for i, g := range t.cluster.Gateways {
		s := &side{ClusterGateway: g, trial: t, number: i, dir: dir + "-" + g.Label}
		if err := os.Mkdir(s.dir, 0o700); err != nil {
			return err
		}
		t.sides, ports = append(t.sides, s), append(ports, g.Label)
		t.later(s.end)
	}
	if t.witness, err = blackout.Listen(t.cluster.Ext, t.cluster.VIP.V4, ports...); err != nil {
		return err
	}
	t.later(t.witness.Close)
	if t.probe, err = blackout.StartProbe(t.cluster.Client, t.cluster.VIP.V4, probeEvery(t.interval)); err != nil {
		return err
	}
	t.later(t.probe.Close)
	open, err := t.servers(ctx, dir)
	if err != nil {
		return err
	}
	for _, s := range t.sides {
		if err := t.start(ctx, s); err != nil {
			return err
		}
		if err := t.firstActive(ctx); err != nil {
			return err
		}
	}
	t.crowd, err = sshtest.NewCrowd(ctx, open, sshtest.CrowdOptions{Sessions: connections, Moving: connections / 2})
	if err != nil {
		return err
	}
	t.later(t.crowd.Close)
	return pause(ctx, ripen)
}

// firstActive returns when the first gateway alone has answered for a while: the
// others know that they stand by.
func (t *trial) firstActive(ctx context.Context) error {
	quiet := 4*t.interval + afterwards
	since := time.Now()
	return until(ctx, quiet+readyWithin, func() error {
		if got := t.witness.Echoes(since); !slices.Equal(got, []int{0}) {
			if len(got) > 0 {
				since = time.Now()
			}
			return fmt.Errorf("gateways %v answer, not the first alone", got)
		}
		if time.Since(since) < quiet {
			return errors.New("the first gateway has not answered alone for long enough")
		}
		return nil
	})
}

// servers starts an SSH server on each backend and returns how a session through
// the VIP is opened.
func (t *trial) servers(ctx context.Context, dir string) (sshtest.Opener, error) {
	home := dir + "-client"
	if err := os.Mkdir(home, 0o700); err != nil {
		return nil, err
	}
	client, err := sshtest.NewClient(t.cluster.Client, home)
	if err != nil {
		return nil, err
	}
	client.UseBuiltIn()
	hostKey, err := sshtest.NewKey()
	if err != nil {
		return nil, err
	}
	at := netip.AddrPortFrom(t.cluster.VIP.V4, servicePort)
	if err := client.Trust(at, hostKey.Public()); err != nil {
		return nil, err
	}
	for _, b := range t.cluster.Backends {
		s, err := sshtest.Start(ctx, b.Namespace, sshtest.ServerOptions{
			Name: b.Label, Dir: home, Echo: true, HostKey: hostKey,
			Addrs:      []netip.AddrPort{netip.AddrPortFrom(b.Addr.V4, servicePort)},
			Authorized: []ssh.PublicKey{client.PublicKey()},
		})
		if err != nil {
			return nil, err
		}
		t.later(s.Close)
	}
	return func(ctx context.Context) (io.ReadWriteCloser, error) { return client.Start(ctx, at, "echo") }, nil
}
