// Package engine puts the dataplane and what drives it together: programs and
// maps of loader, the next hops, the health checks, and the table of steering
// that uses all three. One Engine is one life of it in this process; what is
// pinned lives on after it.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/internal/config"
	"sluice/internal/node/links"
	"sluice/loader"
	"sluice/steering"
	"sluice/steering/flowtable"
	"sluice/steering/guard"
	"sluice/steering/health"
	"sluice/steering/nexthop"
	"sluice/steering/ring"
	"sluice/steering/vips"
	"sluice/vip"
)

// Options are what an engine starts with.
type Options struct {
	// Pins is the directory on bpffs, DataDir an existing one for operators'
	// orders and counters.
	Pins, DataDir string
	// Key is the one of the flow hash.
	Key [16]byte
	// MaxFlows is what the flow table is made for where none is pinned.
	MaxFlows int
	// Elected are the VIPs of settings that an election decides about, with or
	// without a service; nil where there is none. Their owner words begin closed
	// and are the election's.
	Elected func(*config.Settings) []netip.Addr
	// Shared says that other gateways may know flows which this one does not: then
	// whoever knows them says by ResetUnknown whether packets of unknown flows are
	// answered. nil is as false.
	Shared func(*config.Settings) bool
	Log    *slog.Logger
}

// resetUnknownAfter is how long packets of unknown flows are dropped after a
// start before they are answered by resets: a flow that was taken over may
// still be on its way into the table.
const resetUnknownAfter = 5 * time.Second

// Engine steers until it is stopped.
type Engine struct {
	options   Options
	selection links.Selection
	dp        *loader.Dataplane
	flows     int
	flowTable *flowtable.Table
	resolver  *nexthop.Resolver
	checks    *checks
	table     *steering.Table
	guard     *guard.Guard
	guarded   config.Guard // what the guard applied last
	vips      *vips.Keeper
	applied   *config.Settings // nil before the first
	ports     atomic.Int64     // source ports of one address towards one backend

	cancel context.CancelFunc
	tasks  *errgroup.Group
	done   chan struct{} // closed when a task has ended
	err    error         // why, once done is closed

	stop sync.Once
}

// Start adopts or makes the dataplane, applies the settings and goes on
// steering in the background until Stop. On error what was pinned before goes on
// as it did, what was not may be left, and nothing is left running here.
func Start(ctx context.Context, s *config.Settings, o Options) (_ *Engine, err error) {
	e := &Engine{options: o, done: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	if e.selection, err = links.Select(links.Netlink{}, s); err != nil {
		return nil, err
	}
	if err := e.open(s); err != nil {
		return nil, err
	}
	if err := e.setPorts(); err != nil {
		return nil, err
	}
	if err := e.build(); err != nil {
		return nil, err
	}
	if _, err := e.Apply(ctx, s); err != nil {
		return nil, err
	}
	e.run()
	return e, nil
}

// open makes the maps or takes over those that are pinned.
func (e *Engine) open(s *config.Settings) error {
	d := s.Dataplane
	flows, recorded, err := e.options.size()
	if err != nil {
		return err
	}
	e.dp, err = loader.Open(loader.Options{
		Dir: e.options.Pins, Interfaces: e.selection.Names, XDP: loader.XDPMode(d.XDP),
		MaxFlows: flows, Key: e.options.Key,
		Lifetimes: loader.Lifetimes{
			Embryo: d.Lifetimes.Embryo, Established: d.Lifetimes.Established,
			HalfClosed: d.Lifetimes.HalfClosed, Closed: d.Lifetimes.Closed,
		},
	})
	if err != nil {
		return fmt.Errorf("open dataplane: %v", err)
	}
	e.flows, e.flowTable = flows, flowtable.New(e.dp)
	if recorded {
		return nil
	}
	return e.options.recordSize(flows)
}

// setPorts keeps the programs' source ports apart from those of this node's
// own connections.
func (e *Engine) setPorts() error {
	below, above, err := nexthop.PortSpans()
	if err != nil {
		return err
	}
	e.ports.Store(int64(below.Size() + above.Size()))
	return e.dp.SetPorts(below.Lo, below.Hi, above.Lo, above.Hi)
}

// build makes resolver, checker and table, which know each other.
func (e *Engine) build() error {
	resolver, err := nexthop.New(e.dp, nexthop.Options{
		Moved: func(addr addr, id loader.NextHopID) error { return e.table.Moved(addr, id) },
		Log:   e.options.Log,
	})
	if err != nil {
		return fmt.Errorf("follow next hops: %v", err)
	}
	// The callback above runs in resolver.Run only, when the table is there.
	e.resolver = resolver
	e.checks = newChecks(e.dp)
	e.table, err = steering.New(e.checks.dataplane(e.dp), steering.Options{
		DataDir: e.options.DataDir, RingKey: ring.Key(e.options.Key),
		Checker: e.checks, Resolver: acquirer{resolver}, Log: e.options.Log,
		SourcePorts: func() int { return int(e.ports.Load()) },
	})
	if err != nil {
		return err
	}
	e.vips = vips.New(e.dp, e.options.Log)
	e.guard, err = guard.New(e.dp, guard.Options{DataDir: e.options.DataDir, Log: e.options.Log})
	return err
}

// Apply makes s the settings in force. It must not change what Restarts
// reports. On error everything is as before.
func (e *Engine) Apply(ctx context.Context, s *config.Settings) ([]steering.Change, error) {
	if err := e.prepareVIPs(s); err != nil {
		return nil, err
	}
	undo, err := e.checks.prepare(s)
	if err != nil {
		e.settleVIPs()
		return nil, err
	}
	if err := e.guard.Apply(s.Guard); err != nil {
		undo()
		e.settleVIPs()
		return nil, errors.Join(err, e.guard.Apply(e.guarded))
	}
	changes, err := e.table.Apply(ctx, s)
	if err != nil {
		undo()
		e.settleVIPs()
		return nil, errors.Join(err, e.guard.Apply(e.guarded))
	}
	e.guarded, e.applied = s.Guard, s
	e.settleVIPs()
	e.checks.refresh()
	return changes, nil
}

// Restarts says whether going from the running settings to others takes
// another Engine, because the programs have it as constants or on other
// interfaces.
func (e *Engine) Restarts(running, next *config.Settings) (bool, error) {
	a, b := running.Dataplane, next.Dataplane
	if a.XDP != b.XDP || a.Lifetimes != b.Lifetimes {
		return true, nil
	}
	selection, err := links.Select(links.Netlink{}, next)
	if err != nil {
		return false, err
	}
	return !slices.Equal(selection.Names, e.selection.Names), nil
}

// run starts what goes on in the background. The tasks end together: a table
// without checks or next hops would steer by what no longer holds, and a new
// engine, or a new process, is a second away.
func (e *Engine) run() {
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	e.tasks, ctx = errgroup.WithContext(ctx)
	e.tasks.Go(func() error { return e.resolver.Run(ctx) })
	e.tasks.Go(func() error { e.checks.run(ctx); return nil })
	e.tasks.Go(func() error { return e.table.Run(ctx) })
	e.tasks.Go(func() error { e.guard.Run(ctx); return nil })
	e.tasks.Go(func() error { return e.vips.Run(ctx) })
	if e.options.Shared == nil || !e.options.Shared(e.applied) {
		e.tasks.Go(func() error { return e.resetUnknown(ctx) })
	}
	go func() {
		<-ctx.Done() // stopped, or a task failed
		e.err = e.tasks.Wait()
		close(e.done)
	}()
}

// resetUnknown ends the silence towards unknown flows. Without it the peers of
// connections that broke while nobody steered would wait for their timeouts.
func (e *Engine) resetUnknown(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(resetUnknownAfter):
		return e.dp.SetResetUnknown(true)
	}
}

// ResetUnknown has packets of unknown flows answered by resets some time from now,
// or no more: for who knows whether this gateway has the flows of the others.
func (e *Engine) ResetUnknown(known bool) error {
	if !known {
		return e.dp.SetResetUnknown(false)
	}
	return e.dp.SetResetUnknownFrom(vip.Monotonic() + resetUnknownAfter)
}

// Table is the running table.
func (e *Engine) Table() *steering.Table { return e.table }

// Flows is the flow table by addresses.
func (e *Engine) Flows() *flowtable.Table { return e.flowTable }

// EventsLost counts the events of the dataplane that found no room.
func (e *Engine) EventsLost() (uint64, error) { return e.dp.EventsLost() }

// Guard holds the bans.
func (e *Engine) Guard() *guard.Guard { return e.guard }

// Attachments says how the interfaces carry the program.
func (e *Engine) Attachments() []loader.Attachment { return e.dp.Attachments() }

// Drops returns the drop counters.
func (e *Engine) Drops() ([]loader.DropCounter, error) { return e.dp.Drops() }

// Warnings are what could not be found out about interfaces.
func (e *Engine) Warnings() []string { return slices.Clone(e.selection.Warnings) }

// MaxFlows is what the flow table was made for.
func (e *Engine) MaxFlows() int { return e.flows }

// Done is closed when the engine has stopped, by Stop or because a part of it
// failed; Err says why.
func (e *Engine) Done() <-chan struct{} { return e.done }

// Err is why the engine stopped, nil after Stop. It is valid once Done is
// closed.
func (e *Engine) Err() error { return e.err }

// Stop ends what this process does for the dataplane. Programs, maps and flows
// stay as they are.
func (e *Engine) Stop() error {
	e.cancel()
	<-e.done
	err := e.err
	e.stop.Do(func() { err = errors.Join(err, e.close()) })
	return err
}

// Leave is Stop for good: it also takes back what the kernel would otherwise
// go on doing for the dataplane. Programs and pins are the parent's to remove.
func (e *Engine) Leave() error {
	e.cancel()
	<-e.done
	return errors.Join(nexthop.Unmanage(e.dp), vips.Remove(), e.Stop())
}

// close frees what is open, in the reverse order.
func (e *Engine) close() error {
	if e.resolver != nil {
		e.resolver.Close()
	}
	if e.dp == nil {
		return nil
	}
	return e.dp.Close()
}

// Remove takes everything of ours away: programs, pins, the veth pair of health
// checks, and local routes for VIPs. It returns what it removed of the first two.
func Remove(pins string) ([]string, error) {
	removed, err := loader.Detach(pins)
	return removed, errors.Join(err, health.RemoveLink(), vips.Remove())
}
