package steering

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/loader"
)

// freshFor is how old the index may be for an answer to a question.
const freshFor = time.Second

// checkpointPeriod is how much counting a power loss may cost.
const checkpointPeriod = time.Minute

// sweep returns an index no older than maxAge. One sweep runs at a time; who
// comes meanwhile waits for it and takes its outcome where it is new enough.
func (t *Table) sweep(ctx context.Context, maxAge time.Duration) (*index, error) {
	oldest := t.opt.monotonic() - maxAge
	select {
	case <-t.sweeper:
		defer func() { t.sweeper <- struct{}{} }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if x := t.index.Load(); x != nil && x.begun >= oldest {
		return x, nil
	}
	x, err := t.scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("sweep flows: %w", err)
	}
	t.index.Store(x)
	return x, nil
}

// scan makes an index and compares it with the counters.
func (t *Table) scan(ctx context.Context) (*index, error) {
	before, err := readCounters(t.dp)
	if err != nil {
		return nil, err
	}
	x := newIndex(t.opt.monotonic(), t.opt.now())
	err = t.dp.Scan(ctx, func(f loader.Flow) bool {
		x.add(f)
		return ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	after, err := readCounters(t.dp)
	if err != nil {
		return nil, err
	}
	t.crossCheck(x, before, after)
	t.watchPorts(x)
	return x, nil
}

// crossCheck compares what the counters say lives with what the table holds,
// for members whose flows did not change in between. A difference that two
// sweeps in a row meet is a fault of ours, not a race.
func (t *Table) crossCheck(x *index, before, after readings) {
	m := t.model.Load()
	for id, c := range after.members {
		was, seen, now := before.members[id], x.of(id), after.flowsNow(id)
		switch {
		case c.FlowsOpened != was.FlowsOpened || c.FlowsClosed != was.FlowsClosed || c.FlowsRevived != was.FlowsRevived:
		case now >= uint64(seen.open()) && now <= uint64(seen.all()):
			t.agree(id)
		default:
			t.disagree(id, fmt.Sprintf("counters say %d flows of %v live, the flow table holds %d to %d",
				now, m.members[id].record.Addr, seen.open(), seen.all()))
		}
	}
	for id := range t.drifted {
		if _, there := after.members[id]; !there {
			t.agree(id)
		}
	}
}

func (t *Table) agree(id loader.MemberID) {
	if _, ok := t.drifted[id]; ok {
		delete(t.drifted, id)
		t.alarms.clear(fmt.Sprintf("drift %d", id))
	}
}

func (t *Table) disagree(id loader.MemberID, text string) {
	if t.drifted[id]++; t.drifted[id] < 2 {
		return
	}
	t.alarms.raise(fmt.Sprintf("drift %d", id), Alarm{
		Severity: SeverityWarning, Subject: "counters", Text: text,
		Hint: "a fault of sluice: please report it with the output of show flows and show backends",
	})
}

// sweepLoop sweeps until ctx is done: each period, and when poked.
func (t *Table) sweepLoop(ctx context.Context) error {
	ticks := time.NewTicker(t.opt.SweepPeriod)
	defer ticks.Stop()
	written := t.opt.monotonic()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticks.C:
		case <-t.wake:
		}
		t.pass(ctx)
		if now := t.opt.monotonic(); now-written >= checkpointPeriod {
			written = now
			if err := t.checkpoint(); err != nil {
				t.log.Error("counters not written down", "error", err)
			}
		}
	}
}

// poke asks the sweep loop for a pass as soon as it can.
func (t *Table) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// pass expires, looks at what is left, and acts on it: ends the flows that are
// to end, and gives back what no flow needs any more. What fails is reported
// and tried again with the next pass.
func (t *Table) pass(ctx context.Context) {
	const key = "sweep"
	_, err := t.dp.Expire(ctx)
	var x *index
	if err == nil {
		x, err = t.sweep(ctx, 0)
	}
	if err == nil {
		err = errors.Join(t.endFlows(x), t.reap(x), t.sweepMarks(ctx))
	}
	if err == nil {
		t.alarms.clear(key)
		return
	}
	if ctx.Err() != nil {
		return
	}
	t.log.Error("sweep failed", "error", err)
	t.alarms.raise(key, Alarm{
		Severity: SeverityWarning, Subject: "flow table",
		Text: fmt.Sprintf("could not be swept: %v", err),
		Hint: "flows are steered on, but not listed, expired or ended; see the log of the node",
	})
}

// checkpoint writes down what was counted, so that it outlives the maps.
func (t *Table) checkpoint() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, err := readCounters(t.dp)
	if err != nil {
		return err
	}
	want := t.model.Load().clone()
	want.ledger = want.ledger.edit()
	want.ledger.fold(now)
	if err := t.saveLedger(&want.ledger); err != nil {
		return err
	}
	t.model.Store(want)
	return nil
}
