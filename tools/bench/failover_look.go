package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"sluice/internal/nettest"
	"sluice/tools/bench/blackout"
)

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

// lostConnections has each connection answer once more, and says what is wrong
// with the first that does not.
func (t *trial) lostConnections(ctx context.Context) (lost float64, why string) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	errs := t.crowd.Answer(ctx)
	if len(errs) > 0 {
		why = errs[0].Error()
	}
	return float64(len(errs)), why
}
