package vip

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"sluice/vip/address"
	"sluice/vip/election"
	"sluice/vip/heartbeat"
	"sluice/vip/notify"
)

const (
	// lease is how long the kernel keeps a VIP that nobody renews: the second line
	// behind the owner words.
	lease      = 2 * time.Second
	renewEvery = 500 * time.Millisecond
	// inboxSize bounds what waits for the loop; packets beyond it are lost.
	inboxSize = 256
	// tryAgain is the pause between attempts at what the kernel refused.
	tryAgain = time.Second
	// listenAnew is how long a loop that was stopped ignores what arrives: what
	// waited in the sockets' buffers is from then.
	listenAnew = 20 * time.Millisecond
)

// cluster is a virtual cluster as it runs. The loop owns all but what is atomic.
type cluster struct {
	d *Daemon
	// wanted is the plan as it was last applied; the daemon's mutex guards it.
	wanted Cluster

	plan  Cluster
	log   *slog.Logger
	vips  []netip.Addr
	words Owners
	// node is this gateway's name; program and generation are what peers are told.
	node, program string
	generation    uint64

	machine  *election.Machine
	set      *address.Set
	lans     []*lan
	beats    *beats
	pings    *pings
	notifier *notify.Notifier
	// notifying is what notifiers run in; notifyEnd ends the one that does.
	notifying context.Context
	notifyEnd context.CancelFunc

	inbox  chan func(now time.Duration)
	lost   atomic.Uint64
	ending chan bool // gets whether to give up
	ended  chan struct{}

	looked    time.Duration // when the loop last ran
	deafUntil time.Duration
	renewAt   time.Duration
	repairAt  time.Duration
	announces []time.Duration // when to announce, ascending
	health    Health
	links     map[string]string // what is wrong with interfaces of VIPs
	strays    map[stray]bool
	signs     signs
	takeFault string // why the VIPs could not be taken, until takeAgain
	takeAgain time.Duration
	takePause time.Duration     // before it is tried again, the longer the more often it failed
	changes   map[string]uint64 // by cause
	wordFault error
	wordUntil time.Duration // as it was last set; 0 for closed or without limit
	wordless  time.Duration // since when a VIP has no word, 0 for not
	hands     *hands
	// renewing and taking say what the hands have not done yet.
	renewing, taking bool
}

// post hands something to the loop; it waits for room.
func (c *cluster) post(f func(now time.Duration)) {
	select {
	case c.inbox <- f:
	case <-c.ended:
	}
}

// packet hands something from the network to the loop, or drops it: whoever sends
// much must not fill memory, and a loop that is behind needs the newest.
func (c *cluster) packet(f func(now time.Duration)) {
	arrived := c.d.Now()
	select {
	case c.inbox <- func(now time.Duration) {
		if arrived >= c.deafUntil {
			f(now)
		}
	}:
	default:
		c.lost.Add(1)
	}
}

// run is the loop.
func (c *cluster) run(ctx context.Context) {
	defer close(c.ended)
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	working, done := context.WithCancel(context.WithoutCancel(ctx))
	defer done() // after finish, which needs them
	c.spawn(func() { c.hands.run(working) })
	c.start(inner)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case leave := <-c.ending:
			c.finish(leave)
			return
		case f := <-c.inbox:
			f(c.awake())
		case <-timer.C:
			c.machine.Tick(c.awake())
		}
		c.carryOut()
		c.tellRole()
		timer.Reset(c.maintain(c.d.Now()))
	}
}

// awake returns the time, and notices that the loop did not run for long: then
// time comes first, and packets that waited count for nothing.
func (c *cluster) awake() time.Duration {
	now := c.d.Now()
	if c.looked != 0 && now-c.looked > max(c.plan.AdvertInterval, time.Second/5) {
		c.log.Warn("the process did not run", "for", now-c.looked)
		c.deafUntil = now + listenAnew
		c.machine.Tick(now)
		c.carryOut()
	}
	c.looked = now
	c.machine.Answered(c.pings.last())
	return now
}

func (c *cluster) setNotifier(p Cluster) {
	c.notifier = nil
	if len(p.Notify) > 0 {
		c.notifier = notify.New(p.Notify, p.NotifyTimeout, c.d.Start, func(err error) { c.log.Error("notify", "error", err) })
	}
}

// runNotifier runs the notifier until ctx ends or there is another.
func (c *cluster) runNotifier(ctx context.Context) {
	c.notifying = ctx
	if n := c.notifier; n != nil {
		var own context.Context
		own, c.notifyEnd = context.WithCancel(ctx)
		c.spawn(func() { n.Run(own) })
	}
}

func (c *cluster) spawn(f func()) { c.d.running.Go(f) }

func (c *cluster) watchLinks(ctx context.Context) {
	for again := false; ctx.Err() == nil; again = true {
		if again { // it begins with all that is wrong
			c.post(func(time.Duration) { clear(c.links); clear(c.strays) })
		}
		err := c.set.Watch(ctx, func(e address.Event) { c.post(func(now time.Duration) { c.linkEvent(now, e) }) })
		if err != nil && ctx.Err() == nil {
			c.log.Error("interfaces are not watched, trying again", "error", err)
			select {
			case <-time.After(tryAgain):
			case <-ctx.Done():
			}
		}
	}
}

// end stops the cluster and waits until it has: leave gives the VIPs up.
func (c *cluster) end(leave bool) {
	select {
	case c.ending <- leave:
	default:
	}
	<-c.ended
}

func (c *cluster) finish(leave bool) {
	now := c.d.Now()
	if leave {
		c.machine.Stop(now)
		c.carryOut()
	}
	for _, l := range c.lans {
		l.close()
	}
	c.beats.close()
	c.d.roles.remove(c.plan.Name)
	if err := c.set.Close(leave); err != nil {
		c.log.Error("VIPs", "error", err)
	}
}

// beatStates are the states in the words of the heartbeat's codec.
var beatStates = map[election.State]heartbeat.State{
	election.Init: heartbeat.Init, election.Backup: heartbeat.Backup, election.Active: heartbeat.Active, election.Fault: heartbeat.Fault,
}
