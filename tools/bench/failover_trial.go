package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

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
	why    string  // the first of them
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
	// ripen is how old connections are when the fault comes. What is younger than the
	// lag of flow sync, some 40 ms, ends with its gateway as an open handshake does.
	ripen = 250 * time.Millisecond
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
	o.lost, o.why = t.lostConnections(ctx)
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
