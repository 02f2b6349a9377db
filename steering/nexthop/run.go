package nexthop

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// settleDelay is how long changes are gathered before routes are asked again,
// and settlePause the least time between two such rounds: a router that takes a
// full table from its peers must not keep us busy.
const (
	settleDelay = 50 * time.Millisecond
	settlePause = 500 * time.Millisecond
)

const (
	// tick is the pace of what no event announces: the age of wanted neighbours,
	// and the probing of neighbours on old kernels. It is below the 15 s after
	// which the kernel may hold an answer stale.
	tick = 10 * time.Second
	// rereadTicks is after how many of them everything is read again. IPv4
	// routes that vanish with their link, for one, are not announced.
	rereadTicks = 3
)

// Run follows the kernel until ctx ends, which is no error. It may be called
// once.
func (r *Resolver) Run(ctx context.Context) error {
	events := make(chan []event)
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, r.source.close)
	group.Go(func() error { return r.read(ctx, events) })
	group.Go(func() error { return r.loop(ctx, events) })
	err := group.Wait()
	stop()
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

func (r *Resolver) read(ctx context.Context, events chan<- []event) error {
	for {
		batch, err := r.source.receive()
		if err != nil && ctx.Err() != nil {
			return ctx.Err() // the end closed it
		}
		if err != nil {
			return err
		}
		select {
		case events <- batch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *Resolver) loop(ctx context.Context, events <-chan []event) error {
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	var (
		due     <-chan time.Time
		settled time.Time
		count   int
	)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case batch := <-events:
			if r.note(batch) && due == nil {
				due = time.After(max(settleDelay, settlePause-time.Since(settled)))
			}
		case k := <-r.wants:
			r.locked(func() { r.admit(k) })
		case <-due:
			due, settled = nil, time.Now()
			r.settle()
		case now := <-ticks.C:
			if count++; count%rereadTicks == 0 {
				r.reread()
			}
			r.locked(func() { r.pokeAll(); r.expire(now) })
			r.settle()
		}
	}
}

// locked runs fn and tells the programs what changed.
func (r *Resolver) locked(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn()
	r.tell()
}

// settle looks up what is stale and hands the ids that changed on.
func (r *Resolver) settle() {
	var moves []*dest
	r.locked(func() {
		for addr, d := range r.dests {
			if r.stale.all || r.stale.dests[addr] {
				r.reach(d)
			}
			if len(d.left) > 0 || d.source != d.told {
				moves = append(moves, d)
			}
		}
		for _, h := range r.hops {
			if err := r.update(h); err != nil {
				r.log.Error("update next hop", "error", err)
			}
		}
		r.stale = stale{}
		for addr := range r.watched {
			d := r.dests[addr]
			if !bytes.Equal(d.neighbour(), d.toldMAC) && !slices.Contains(moves, d) {
				moves = append(moves, d)
			}
		}
	})
	for _, d := range moves {
		r.handOver(d)
	}
}

// reach looks d's address up again.
func (r *Resolver) reach(d *dest) {
	to, unreachable, err := r.locate(d.addr)
	if err != nil {
		// The address came to this node while it was a backend.
		to, unreachable = route{key: key{addr: d.addr}}, err.Error()
	}
	d.unreachable = unreachable
	if to.source.IsValid() {
		d.source = to.source
	}
	if unreachable != "" {
		if err := r.update(d.hop); err == nil && !d.hop.entry.Ready {
			// What has no route because its link is down stays where it is, so
			// that a link that flaps moves no ids.
			return
		}
	}
	if err := r.place(d, to.key); err != nil {
		r.log.Error("follow route", "addr", d.addr, "error", err)
		return
	}
	if err := r.update(d.hop); err != nil {
		r.log.Error("follow route", "addr", d.addr, "error", err)
	}
}

// handOver tells that d is reached by another id or source, and frees those it had.
func (r *Resolver) handOver(d *dest) {
	r.mu.Lock()
	id, left, source, mac := d.hop.id, d.left, d.source, d.neighbour()
	current := r.dests[d.addr] == d
	r.mu.Unlock()
	if !current {
		return
	}
	if err := r.moved(d.addr, id); err != nil {
		r.log.Error("hand over next hop", "addr", d.addr, "id", id, "error", err)
		return
	}
	r.locked(func() {
		if r.dests[d.addr] != d {
			return // released meanwhile, with all it had
		}
		d.told, d.toldMAC = source, mac
		d.left = nil // only Run adds to it, and Run is here
		for _, h := range left {
			r.detach(h)
		}
	})
}
