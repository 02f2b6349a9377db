package health

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Options are what a Checker may be told. The zero value is ready for use.
type Options struct {
	// Notify is called with each change of state, one at a time and in order.
	// It may call Set and Snapshot. While it runs checks go on, but other
	// changes wait, and so does the end of Run.
	Notify func(Change)
	// Concurrency bounds how many checks run at a time [1024]. Half of it is
	// for targets whose last check hung, so that they wait for each other and
	// not the others for them.
	Concurrency int
	// dial replaces the way to a target in tests.
	dial dialFunc
}

// Checker checks targets, each at its own interval. Its methods may be called
// from several goroutines at once.
type Checker struct {
	notify func(Change)
	dial   dialFunc
	pace   pace
	room   chan struct{} // for targets that answer
	hung   chan struct{} // for targets that hung
	wake   chan struct{} // something is in changes

	mu      sync.Mutex
	ctx     context.Context // of Run, nil before and after
	watches sync.WaitGroup
	targets map[string]*watched
	changes []change
}

// watched is a target and what is known of it. mu of the checker guards it.
type watched struct {
	target Target
	judge  judge
	status Status
	due    time.Time     // of the next check, zero before the first is planned
	rush   time.Duration // in which the first check lies, until it was made
	stop   context.CancelFunc
}

type change struct {
	of *watched
	Change
}

// New returns a checker without targets.
func New(o Options) *Checker {
	if o.Concurrency <= 0 {
		o.Concurrency = 1024
	}
	c := &Checker{
		notify: o.Notify, dial: o.dial,
		room: make(chan struct{}, max(1, o.Concurrency-o.Concurrency/2)),
		hung: make(chan struct{}, max(1, o.Concurrency/2)),
		wake: make(chan struct{}, 1), targets: make(map[string]*watched),
	}
	if c.notify == nil {
		c.notify = func(Change) {}
	}
	if c.dial == nil {
		c.dial = dial
	}
	return c
}

// Set makes targets the ones that are checked. A target that is known by its
// name keeps its state, and one that did not change also its schedule. Of one
// that is gone nothing is told any more once Set has returned, but for a Notify
// that is running.
func (c *Checker) Set(targets []Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted := make(map[string]bool, len(targets))
	servers := make(map[netip.AddrPort]bool, len(targets))
	var fresh []*watched
	for _, t := range targets {
		t.Settings = t.Settings.withDefaults()
		wanted[t.Name], servers[t.Backend] = true, true
		if w := c.put(t); w != nil {
			fresh = append(fresh, w)
		}
	}
	for name, w := range c.targets {
		if !wanted[name] {
			w.end()
			delete(c.targets, name)
		}
	}
	c.pace.keep(servers)
	if c.ctx != nil {
		c.begin(fresh)
	}
}

// put takes a target in and returns it if its watch has to begin anew.
func (c *Checker) put(t Target) *watched {
	w := c.targets[t.Name]
	if w == nil {
		w = &watched{judge: judge{state: t.Assume}}
		w.status = Status{State: t.Assume, Since: time.Now()}
		if t.Assume != Unknown {
			w.status.Reason = "as it was before"
		}
		c.targets[t.Name] = w
	} else if w.target.equal(t) {
		w.target.Assume = t.Assume
		return nil
	}
	if w.target.Dial != t.Dial || w.target.Proxy != t.Proxy || w.target.Local != t.Local || w.target.Settings.Type != t.Settings.Type {
		w.judge.streak = 0 // those results were of something else
	}
	w.end()
	w.target = t
	if t.Settings.Type == Off {
		c.decide(w, Up, "not checked")
	}
	return w
}

func (w *watched) end() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

// begin starts to watch. The first checks of many targets are spread a little.
func (c *Checker) begin(fresh []*watched) {
	for _, w := range fresh {
		if w.target.Settings.Type == Off {
			continue
		}
		now := time.Now()
		switch latest := now.Add(w.target.Settings.Interval); {
		case w.due.IsZero():
			w.rush = rush(w.target, len(fresh))
			w.due = now.Add(firstDelay(w.target, w.rush))
		case w.due.After(latest):
			w.due = latest
		}
		ctx, stop := context.WithCancel(c.ctx)
		w.stop = stop
		c.watches.Go(func() { c.watch(ctx, w, w.target) })
	}
}

// Run checks until ctx ends, and returns when no check is running any more. It
// may be called once.
func (c *Checker) Run(ctx context.Context) {
	c.mu.Lock()
	c.ctx = ctx
	all := make([]*watched, 0, len(c.targets))
	for _, w := range c.targets {
		all = append(all, w)
	}
	c.begin(all)
	c.mu.Unlock()
	for {
		select {
		case <-c.wake:
			c.deliver(ctx)
		case <-ctx.Done():
			c.mu.Lock()
			c.ctx = nil // no more watches
			c.mu.Unlock()
			c.watches.Wait()
			return
		}
	}
}

// deliver tells of changes in the order in which they happened.
func (c *Checker) deliver(ctx context.Context) {
	for ctx.Err() == nil {
		c.mu.Lock()
		if len(c.changes) == 0 {
			c.mu.Unlock()
			return
		}
		next := c.changes[0]
		c.changes = c.changes[1:]
		current := c.targets[next.Name] == next.of
		c.mu.Unlock()
		if current {
			c.notify(next.Change)
		}
	}
}

// watch checks one target until ctx ends.
func (c *Checker) watch(ctx context.Context, w *watched, t Target) {
	c.mu.Lock()
	due, hung := w.due, w.status.Last.Hung
	c.mu.Unlock()
	for {
		paced := c.pace.wait(t.Backend, due)
		if !sleepUntil(ctx, due.Add(paced)) {
			return
		}
		room := c.room
		if hung {
			room = c.hung
		}
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return
		}
		start := time.Now()
		out := probe(ctx, c.dial, t)
		<-room
		if penalises(out.Identification) {
			c.pace.charge(t.Backend, start)
		}
		c.mu.Lock()
		if ctx.Err() != nil { // cut short, or not the target's any more
			c.mu.Unlock()
			return
		}
		c.record(w, out, start, paced > 0)
		due, hung = w.due, out.Hung
		c.mu.Unlock()
	}
}

// record takes a result in and plans the next check. mu is held.
func (c *Checker) record(w *watched, out Outcome, start time.Time, paced bool) {
	w.status.Last, w.status.Checked, w.status.Paced = out, start, paced
	if out.Err != nil {
		w.status.LastError, w.status.Failed = out.Err.Error(), start
	}
	j := w.judge
	if reason := j.see(out, w.target.Settings); reason != "" {
		c.decide(w, j.state, reason)
	}
	w.judge = j
	if w.rush > 0 {
		w.due = start.Add(secondGap(w.target, w.rush))
		w.rush = 0
		return
	}
	w.due = start.Add(gap(w.target.Settings, j))
}

// decide makes a state known. mu is held.
func (c *Checker) decide(w *watched, to State, reason string) {
	from := w.status.State
	w.judge = judge{state: to}
	if from == to {
		return
	}
	w.status.State, w.status.Reason, w.status.Since = to, reason, time.Now()
	c.changes = append(c.changes, change{of: w, Change: Change{
		Name: w.target.Name, From: from, To: to, Reason: reason, Since: w.status.Since,
		RTT: w.status.Last.RTT, LastError: w.status.LastError,
	}})
	select {
	case c.wake <- struct{}{}:
	default: // it was woken and has not looked yet
	}
}

// Snapshot returns the state of every target, sorted by name.
func (c *Checker) Snapshot() []Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Status, 0, len(c.targets))
	for _, w := range c.targets {
		s := w.status
		s.Target, s.Streak = w.target, w.judge.streak
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Status) int { return cmp.Compare(a.Target.Name, b.Target.Name) })
	return out
}

// sleepUntil waits for a time and says whether it came before the end of ctx.
func sleepUntil(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
