package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"sluice/internal/nettest"
	"sluice/internal/nettest/sshtest"
	"sluice/tools/bench/blackout"
)

// trial is one fault that befalls one contender on gateways of its own.
type trial struct {
	contender
	fault    fault
	interval time.Duration

	cluster *nettest.Cluster
	sides   []*side
	probe   *blackout.Probe
	witness *blackout.Witness
	crowd   *sshtest.Crowd
	closers []func() error
}

// outcome is what a trial measured.
type outcome struct {
	blackout time.Duration
	// returned is 1 where the VIP answered again, moved where another gateway did.
	returned, moved float64
	// owners is how many gateways answered for the VIP once it was back.
	owners float64
	twice  float64 // requests with two answers
	lost   float64 // connections
	// What came of the fault's end, where the preferred gateway takes over again.
	healBlackout time.Duration
	healReturned float64
	healOwners   float64
}

// Times by which a trial is bounded.
const (
	// pingPatience is added to a number of adverts: pings take so long to fail,
	// twice.
	pingPatience = 5 * time.Second
	// healPatience is what a gateway may take to start and to be trusted.
	healPatience = 15 * time.Second
	// afterwards is how long the VIP is looked at when it is back.
	afterwards = 500 * time.Millisecond
	// answerWithin is how long TCP may take to send again after a blackout.
	answerWithin = 15 * time.Second
	askEvery     = 20 * time.Millisecond
)

// probeEvery is the interval of the client's requests: a twentieth of that of
// adverts, within what a process can keep to.
func probeEvery(interval time.Duration) time.Duration {
	return min(max(interval/20, time.Millisecond), 10*time.Millisecond)
}

// run does the whole trial below a folder.
func (t *trial) run(ctx context.Context, dir string, connections int) (o outcome, err error) {
	defer func() {
		err = errors.Join(err, t.close())
		if err != nil {
			err = fmt.Errorf("%s, %s at %v: %w", t.name(), t.fault.name, t.interval, err)
		}
	}()
	if err := t.up(ctx, dir, connections); err != nil {
		return o, err
	}
	first := t.sides[0]
	began := time.Now()
	if err := t.fault.strike(ctx, t.contender, first); err != nil {
		return o, err
	}
	o.moved, o.blackout, err = t.await(ctx, began, 1, 5*t.interval+pingPatience)
	if err != nil {
		return o, err
	}
	o.returned = t.answering()
	o.owners, err = t.owners(ctx)
	if err != nil {
		return o, err
	}
	o.lost = t.lostConnections(ctx)
	return o, t.whole(ctx, &o)
}

// whole heals the gateway and watches the role come back.
func (t *trial) whole(ctx context.Context, o *outcome) error {
	began := time.Now()
	if err := t.fault.heal(ctx, t.contender, t.sides[0]); err != nil {
		return err
	}
	var err error
	o.healReturned, o.healBlackout, err = t.await(ctx, began, 0, 5*t.interval+healPatience)
	if err != nil {
		return err
	}
	o.healOwners, err = t.owners(ctx)
	o.twice = float64(t.witness.Twice())
	return err
}

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
	if err == nil {
		t.later(t.crowd.Close)
	}
	return err
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

// await waits until a gateway answers that did not have to, and a little longer,
// or until the time is up. It returns 1 where it answers, and the blackout.
func (t *trial) await(ctx context.Context, began time.Time, gateway int, within time.Duration) (came float64, gap time.Duration, err error) {
	err = until(ctx, within, func() error {
		if !slices.Contains(t.witness.Echoes(began), gateway) {
			return errors.New("no answer")
		}
		return nil
	})
	if ctx.Err() != nil {
		return 0, 0, ctx.Err()
	}
	if err == nil {
		came = 1
		if err := pause(ctx, max(afterwards, 4*t.interval)); err != nil {
			return 0, 0, err
		}
	}
	return came, t.probe.Longest(began, time.Now()), nil
}

// answering says by 1 that the client gets answers now.
func (t *trial) answering() float64 {
	if t.probe.Answered(time.Now().Add(-afterwards / 2)) {
		return 1
	}
	return 0
}

// owners asks for a while and returns how many gateways say that the VIP is
// theirs.
func (t *trial) owners(ctx context.Context) (float64, error) {
	since := time.Now()
	own := t.cluster.RouterAddr.V4
	for time.Since(since) < afterwards {
		if err := blackout.Ask(t.cluster.Router, nettest.OutsideLink, own, t.cluster.VIP.V4); err != nil {
			return 0, err
		}
		if err := pause(ctx, askEvery); err != nil {
			return 0, err
		}
	}
	return float64(len(t.witness.Owners(since))), nil
}

// lostConnections has each connection answer once more.
func (t *trial) lostConnections(ctx context.Context) float64 {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return float64(len(t.crowd.Answer(ctx)))
}

func (t *trial) later(fn func() error) { t.closers = append(t.closers, fn) }

func (t *trial) close() error {
	var errs []error
	for _, fn := range slices.Backward(t.closers) {
		errs = append(errs, fn())
	}
	for _, s := range t.sides {
		// What a node mounted there it does not unmount when it is killed.
		errs = append(errs, removeSite(s.dir))
	}
	return errors.Join(errs...)
}

// folder is where a trial's files begin.
func folder(s *site, number int) string { return filepath.Join(s.dir, fmt.Sprint(number)) }
