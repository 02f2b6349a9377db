// Package vip is the daemon of `sluice vip`: it holds this gateway's part in the
// election of each virtual cluster, and gives the machine the VIPs or takes them
// away as the election goes.
//
// One goroutine owns a cluster. What comes from sockets, from the kernel, from ping
// hosts and from the node process reaches it through one bounded inbox; what the
// election wants done (package election) it does in order, because order is what
// keeps two gateways from serving at once; only work on addresses, which the kernel
// may hold up, is done beside it, in an order of its own (hands.go):
//
//	adverts  ─┐                    ┌─► owner words, addresses
//	heartbeat ┼─► inbox ─► election┼─► gratuitous ARP, neighbour advertisements
//	pings     │                    ├─► adverts, heartbeats
//	links     ┘                    └─► history, notify
//
// It needs CAP_NET_ADMIN and CAP_NET_RAW, and for the owner words CAP_BPF.
package vip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sluice/vip/address"
	"sluice/vip/auth"
)

// ErrNoWord says that the dataplane does not know, or not any more, that an
// election decides about a VIP.
var ErrNoWord = errors.New("no owner word")

// Owners are the owner words of the dataplane: whether the programs may steer for
// a VIP, and until when.
type Owners interface {
	// Set opens or closes the words of VIPs. until is an instant of CLOCK_MONOTONIC
	// after which an open word counts as closed, 0 for never. VIPs without a word are
	// left out, with an error that wraps ErrNoWord.
	Set(vips []netip.Addr, active bool, until time.Duration) error
	// Open returns until when all words of VIPs are open, and whether they are now.
	Open(vips []netip.Addr) (until time.Duration, open bool, err error)
}

// Options are what a daemon works with.
type Options struct {
	// Owners are the dataplane's words; nil where there is never a dataplane.
	Owners Owners
	// Directory keeps the plan, terms and the history over restarts.
	Directory string
	// Runtime is a directory in memory, for what is of use as long as the machine
	// runs; "" keeps nothing there.
	Runtime string
	// Start starts a program that is told of changes: with less rights and rank than
	// this process has. nil starts it as it is.
	Start func(*exec.Cmd) error
	// Log gets what happens; nil discards.
	Log *slog.Logger
	// Now is CLOCK_MONOTONIC; nil reads the machine's.
	Now func() time.Duration
	// Wall is the machine's clock, by which adverts are signed; nil reads it.
	Wall func() time.Time
}

// Daemon runs the virtual clusters of one gateway. Its methods may be called from
// several goroutines.
type Daemon struct {
	Options
	host    *address.Host
	clock   *auth.Clock
	history *history
	roles   roles
	hubs    hubs

	mu       sync.Mutex
	ctx      context.Context
	plan     Plan
	words    Owners // those of the plan
	kept     *wordFile
	clusters map[string]*cluster
	health   Health
	// nodeGone is when the node process last said how it is, or came or went.
	nodeGone  time.Duration
	connected bool
	running   sync.WaitGroup
}

// New returns a daemon, which does nothing before Run. It needs CAP_NET_RAW.
func New(o Options) (*Daemon, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = Monotonic
	}
	if o.Wall == nil {
		o.Wall = time.Now
	}
	if o.Start == nil {
		o.Start = (*exec.Cmd).Start
	}
	history, err := openHistory(o.Directory)
	if err != nil {
		return nil, err
	}
	host, err := address.Open()
	if err != nil {
		return nil, err
	}
	return &Daemon{
		Options: o, host: host, clock: auth.NewClock(o.Wall, o.Now), history: history,
		clusters: map[string]*cluster{}, nodeGone: o.Now(),
		kept: openWordFile(o.Runtime, o.Now, o.Log),
	}, nil
}

// Run runs the daemon until ctx ends, beginning with the plan of an earlier
// process. leave decides what the end means: true gives every VIP up, false leaves
// all as it is for a successor, for as long as leases and owner words last.
func (d *Daemon) Run(ctx context.Context, leave func() bool) error {
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	plan, err := readPlan(d.Directory)
	if err != nil {
		d.Log.Warn("what an earlier process ran is not known, waiting for the node", "error", err)
	}
	d.mu.Lock() // until the earlier plan runs, so that no newer one comes before it
	d.ctx = inner
	err = d.applyLocked(plan)
	d.mu.Unlock()
	if err != nil {
		d.Log.Error("not everything of the earlier plan runs", "error", err)
	}
	d.running.Go(func() { d.history.run(inner) })
	d.watchNode(ctx)
	d.stop(leave())
	cancel()
	d.running.Wait()
	return errors.Join(d.kept.close(), d.host.Close())
}

// watchNode tells the clusters again and again how the node is, since that it is
// away too long is known by time alone.
func (d *Daemon) watchNode(ctx context.Context) {
	ticks := time.NewTicker(time.Second)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			d.mu.Lock()
			d.spread()
			d.mu.Unlock()
		}
	}
}

func (d *Daemon) stop(leave bool) {
	d.mu.Lock()
	list := make([]*cluster, 0, len(d.clusters))
	for _, c := range d.clusters {
		list = append(list, c)
	}
	d.clusters = map[string]*cluster{}
	d.ctx = nil // no plan comes after this
	d.mu.Unlock()
	var ended sync.WaitGroup
	for _, c := range list {
		ended.Go(func() { c.end(leave) })
	}
	ended.Wait()
}

// Connected says whether the node process is there to tell how it is.
func (d *Daemon) Connected(there bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.connected = there
	d.nodeGone = d.Now()
	d.spread()
}

// SetHealth tells how this gateway is, in what the node process knows.
func (d *Daemon) SetHealth(h Health) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.health, d.nodeGone = h, d.Now()
	d.spread()
}

// spread tells the clusters; the caller holds mu.
func (d *Daemon) spread() {
	h := d.health
	if d.plan.Watchdog > 0 && d.Now()-d.nodeGone > d.plan.Watchdog {
		h.Faults = append([]string{fmt.Sprintf("the node process is away for longer than %v", d.plan.Watchdog)}, h.Faults...)
	}
	for _, c := range d.clusters {
		c.setHealth(h)
	}
}

// Monotonic reads CLOCK_MONOTONIC, by which owner words go.
func Monotonic() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic("vip: read CLOCK_MONOTONIC: " + err.Error()) // every kernel has it
	}
	return time.Duration(t.Nano())
}
