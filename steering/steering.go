// Package steering is policy: which backend gets which flow. A [Table] turns
// settings, operators' orders and health into the records and rings of a
// [Dataplane], by the difference and in an order that never misdirects a
// packet, and tells what became of the flows.
//
// Everything a Table knows is one immutable model. A change makes the next
// model, brings the dataplane from the one to the other, and publishes it; if
// that fails the dataplane is brought back and the model stays. Readers take
// the published model and never wait.
package steering

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"sluice/loader"
	"sluice/steering/disk"
	"sluice/steering/ring"
)

// Options are what a Table works with.
type Options struct {
	// DataDir is an existing directory for operators' orders and counters.
	DataDir string
	// RingKey is the same on every gateway of the cluster.
	RingKey ring.Key
	// Checker and Resolver are run by the caller for at least as long as the
	// Table.
	Checker  Checker
	Resolver Resolver
	// SweepPeriod is the time between two sweeps of the flow table [10s].
	SweepPeriod time.Duration
	// CheckNet4 and CheckNet6 are where check addresses come from, one per
	// member of a service in a one-way mode: at most /18 and /114
	// [169.254.64.0/18, fd73:6c75:6963:6500::/114].
	CheckNet4, CheckNet6 netip.Prefix
	// SourcePorts returns how many source ports one address has towards one
	// backend, for an alarm before they are used up. Nil: there is none.
	SourcePorts func() int
	// Log gets changes of state and what goes wrong; nil discards.
	Log *slog.Logger

	// refreshFor is how long the flows of an entry are looked up at a time.
	refreshFor time.Duration

	// What tests replace.
	now       func() time.Time
	monotonic func() time.Duration
	save      func(dir, name string, data []byte) error
}

func (o *Options) complete() error {
	if o.Checker == nil || o.Resolver == nil {
		return errors.New("make steering table: a checker and a resolver are needed")
	}
	if o.SweepPeriod == 0 {
		o.SweepPeriod = 10 * time.Second
	}
	if o.refreshFor == 0 {
		o.refreshFor = refreshFor
	}
	if !o.CheckNet4.IsValid() {
		o.CheckNet4 = netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, 64}), 18)
	}
	if !o.CheckNet6.IsValid() {
		o.CheckNet6 = netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0x73, 0x6c, 0x75, 0x69, 0x63, 0x65}), 114)
	}
	if o.CheckNet4.Bits() > 18 || o.CheckNet6.Bits() > 114 {
		return fmt.Errorf("make steering table: check networks %v and %v are too small for %d members; use at most /18 and /114",
			o.CheckNet4, o.CheckNet6, loader.MaxMembers)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.monotonic == nil {
		o.monotonic = monotonic
	}
	if o.save == nil {
		o.save = disk.Save
	}
	if info, err := os.Stat(o.DataDir); err != nil || !info.IsDir() {
		return fmt.Errorf("make steering table: data directory %q: not a directory; make it or set node.data_dir", o.DataDir)
	}
	return nil
}

// monotonic is the clock the dataplane stamps flows with.
func monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("steering: read CLOCK_MONOTONIC: " + err.Error())
	}
	return time.Duration(ts.Nano())
}

// Table steers. Its methods may be called from many goroutines at once.
type Table struct {
	dp  Dataplane
	opt Options
	log *slog.Logger

	// mu is held by whoever changes the model, from reading the old one until
	// the new one is published.
	mu    sync.Mutex
	model atomic.Pointer[model]
	// The rest below mu belongs to it.
	scratch []uint32                        // one ring
	checks  []Check                         // what the checker runs
	hops    map[netip.Addr]loader.NextHopID // what is acquired
	calms   map[loader.MemberID]calm
	// unsure says that the dataplane may hold something else than the model:
	// taking a failed change back failed too.
	unsure bool

	index   atomic.Pointer[index]
	silence atomic.Pointer[silence]
	sweeper chan struct{} // holds a token while nobody sweeps
	wake    chan struct{} // asks for a pass of the sweep loop

	// drifted counts sweeps in a row; whoever sweeps has it.
	drifted map[loader.MemberID]int
	// short are the alarms about source ports that stand; likewise.
	short map[string]bool
	marks marker
	// marked is how the last pass left the rings.
	marked atomic.Pointer[map[loader.ServiceID]loader.MarkCount]

	resets resets
	alarms alarms
	feed   feed
	// flowChanges is called for each flow that changes, nil for nobody.
	flowChanges atomic.Pointer[func(listen, client netip.AddrPort)]
}

// New returns a Table that goes on with what the dataplane holds: its services
// and members keep their ids, its flows their backends, its rings who stands
// in them. The caller applies settings before it calls Run.
func New(dp Dataplane, opt Options) (*Table, error) {
	if err := opt.complete(); err != nil {
		return nil, err
	}
	t := &Table{
		dp: dp, opt: opt, log: opt.Log,
		scratch: make([]uint32, ring.Entries),
		hops:    map[netip.Addr]loader.NextHopID{},
		calms:   map[loader.MemberID]calm{},
		drifted: map[loader.MemberID]int{},
		sweeper: make(chan struct{}, 1),
		wake:    make(chan struct{}, 1),
	}
	t.alarms.now, t.feed.now = opt.now, opt.now
	t.sweeper <- struct{}{}
	m, err := t.adopt()
	if err != nil {
		return nil, fmt.Errorf("adopt dataplane: %v", err)
	}
	t.model.Store(m)
	if err := t.adoptMarks(m); err != nil {
		return nil, fmt.Errorf("adopt dataplane: %v", err)
	}
	if _, err := t.sweep(context.Background(), 0); err != nil {
		return nil, fmt.Errorf("adopt dataplane: %v", err)
	}
	return t, nil
}

// Run follows health, drains, events and flows until ctx is done, which is no
// error, and writes the counters down before it returns. A goroutine of it may
// be left waiting in ReadEvent; it ends when the dataplane is closed.
func (t *Table) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return t.followHealth(ctx) })
	g.Go(func() error { return t.each(ctx, drainPeriod, "drains not followed", newDrainer(t).tick) })
	g.Go(func() error { return t.followEvents(ctx) })
	g.Go(func() error { return t.sweepLoop(ctx) })
	g.Go(func() error { return t.each(ctx, loadPeriod, "loads not told", t.tellLoads) })
	err := g.Wait()
	if saving := t.checkpoint(); err == nil {
		err = saving
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// each does something once a period until ctx is done. That it failed is only
// worth a line in the log: the next time makes up for it.
func (t *Table) each(ctx context.Context, period time.Duration, failed string, do func() error) error {
	ticks := time.NewTicker(period)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticks.C:
			if err := do(); err != nil {
				t.log.Error(failed, "error", err)
			}
		}
	}
}

// change makes a new model by edit and brings the dataplane to it. On error
// the dataplane and the model are as before.
func (t *Table) change(edit func(next *model) error) (have, want *model, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.ensure(); err != nil {
		return nil, nil, err
	}
	have = t.model.Load()
	want = have.clone()
	err = edit(want)
	if err == nil {
		want.settle(t.opt.now())
		err = t.advance(have, want)
	}
	if err != nil {
		t.keepHops(have)
		t.burn(have, want)
		return nil, nil, err
	}
	t.publish(have, want)
	return have, want, nil
}

// burn puts the ids that a failed change took behind all others: its records
// were in use for a moment, and a handshake from then must not end at another
// backend.
func (t *Table) burn(have, want *model) {
	if want.ledger.edition == have.ledger.edition {
		return
	}
	next := have.clone()
	next.ledger = want.ledger
	dropAbsent(&next.ledger.Services, have.services)
	dropAbsent(&next.ledger.Members, have.members)
	t.model.Store(next)
}

// publish makes want what everybody sees.
func (t *Table) publish(have, want *model) {
	t.model.Store(want)
	t.runChecks(want)
	t.keepHops(want)
	t.announce(have, want)
}
