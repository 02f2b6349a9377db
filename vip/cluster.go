package vip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"sluice/internal/config"
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

// newCluster makes ready what a cluster needs and decides whether it goes on from
// where a predecessor stopped.
func newCluster(d *Daemon, p Cluster) (*cluster, error) {
	c := &cluster{
		d: d, wanted: p, plan: p, log: d.Log.With("cluster", p.Name),
		inbox: make(chan func(time.Duration), inboxSize), ending: make(chan bool, 1), ended: make(chan struct{}),
		hands: newHands(), links: map[string]string{}, strays: map[stray]bool{}, changes: map[string]uint64{}, health: d.health, words: d.words,
		node: d.plan.Node, program: d.plan.Version, generation: d.plan.Generation,
	}
	for _, v := range p.VIPs {
		c.vips = append(c.vips, v.Addr.Addr())
	}
	var err error
	if c.pings, err = newPings(c); err != nil {
		return nil, err
	}
	if c.lans, err = newLANs(c); err != nil {
		return nil, err
	}
	if c.beats, err = newBeats(c); err != nil {
		return nil, err
	}
	if c.set, err = d.host.New(addressPlan(p)); err != nil {
		return nil, err
	}
	c.setNotifier(p)
	c.machine = election.New(electionConfig(d, p))
	c.machine.Remember(d.history.term(p.Name))
	return c, nil
}

func addressPlan(p Cluster) address.Plan {
	plan := address.Plan{Cluster: p.Name, VRID: p.VRID, Lease: lease}
	if p.alone() {
		plan.Lease = 0
	}
	for _, v := range p.VIPs {
		plan.VIPs = append(plan.VIPs, address.VIP{Addr: v.Addr, Interface: v.Interface, MAC: p.MAC(v.IPv6())})
	}
	return plan
}

func electionConfig(d *Daemon, p Cluster) election.Config {
	c := election.Config{
		Priority: uint8(p.OwnPriority), Impaired: rank(p, d.plan.Node), Ranks: uint8(len(p.Priority)),
		Interval: p.AdvertInterval, Preempt: p.Preempt, PreemptDelay: p.PreemptDelay,
		Alone: p.alone(), Segments: len(segmentsOf(p)), Pings: len(p.Pings) > 0, Settle: p.PingSettle,
		Address: p.Heartbeat.Addr, Claims: uint32(d.Now()),
	}
	if p.Heartbeat.Enabled() {
		c.BeatInterval, c.BeatTimeout = p.Heartbeat.Interval, p.Heartbeat.Timeout
		for _, peer := range p.Peers {
			c.Peers = append(c.Peers, election.Peer{Node: peer.Node, Address: peer.Heartbeat})
		}
	}
	return c
}

// rank is this node's place among the priorities of the cluster, from 1.
func rank(p Cluster, own string) uint8 {
	r := uint8(1)
	for node, priority := range p.Priority {
		if priority < p.OwnPriority || priority == p.OwnPriority && node < own {
			r++
		}
	}
	return r
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

// start begins the election: as active where a predecessor was that a moment ago.
func (c *cluster) start(ctx context.Context) {
	now := c.d.Now()
	until, open, err := c.words.Open(c.vips)
	if err != nil {
		c.wordFault = err
	}
	held, _ := c.set.Held()
	if open && held && err == nil {
		repaired, err := c.set.Adopt()
		now = c.d.Now()
		if err == nil && until != 0 && now >= until {
			err = errors.New("its owner words closed meanwhile")
		}
		if err != nil {
			c.log.Error("not taking over from an earlier process", "error", err)
			c.setOwner(false, 0)
			c.takeFault, c.takeAgain = errors.Join(err, c.set.Release()).Error(), now+tryAgain
			c.machine.Local(now, c.local())
		} else {
			c.log.Info("taking over from an earlier process", "repaired", repaired)
			c.machine.Adopt(now, until, c.local())
		}
	} else {
		if err := c.words.Set(c.vips, false, 0); err != nil {
			c.wordFault = err
		}
		if err := c.set.Prepare(); err != nil {
			c.takeFault, c.takeAgain = err.Error(), now+tryAgain
		}
		c.machine.Local(now, c.local())
	}
	c.spawn(func() { c.watchLinks(ctx) })
	c.pings.start(ctx)
	c.beats.open()
	for _, l := range c.lans {
		l.open()
	}
	c.runNotifier(ctx)
	c.carryOut()
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

// changesTo says whether a running cluster can go on with another plan: where
// nothing but these differs: VIPs on the same segments, proofs of adverts, notify,
// announcements. Anything else needs a new beginning.
func (c Cluster) changesTo(p Cluster) bool {
	a, b := c, p
	for _, x := range []*Cluster{&a, &b} {
		x.VIPs, x.Notify, x.NotifyTimeout, x.Announce = nil, nil, 0, config.Announce{}
		x.Auth, x.AdvertKeys = config.Auth{}, nil
	}
	return a.equal(b) && slices.Equal(segmentsOf(c), segmentsOf(p))
}

// change has the loop go on with another plan. Where that fails all stays as it
// was.
func (c *cluster) change(ctx context.Context, p Cluster) error {
	err, asking := ask(ctx, c, func(time.Duration) error { return c.adopt(p) })
	if err := errors.Join(err, asking); err != nil {
		return err
	}
	c.wanted = p
	return nil
}

// inform tells the loop what of a daemon's plan is about all clusters. Words that
// it did not set before are set as it goes on.
func (c *cluster) inform(d *Daemon) {
	words, version, generation := d.words, d.plan.Version, d.plan.Generation
	c.post(func(time.Duration) {
		c.program, c.generation = version, generation
		if c.words == words {
			return
		}
		c.words = words
		if state, _ := c.machine.State(); state != election.Active {
			c.setOwner(false, 0)
		}
	})
}

// adopt takes the plan over: VIPs that both have lose nothing.
func (c *cluster) adopt(p Cluster) error {
	proof, err := p.proof()
	if err != nil {
		return err
	}
	if err := c.set.Change(addressPlan(p)); err != nil {
		c.log.Error("VIPs not changed", "error", err)
		return fmt.Errorf("VIPs not changed: %v", err)
	}
	gone := slices.DeleteFunc(slices.Clone(c.vips), func(a netip.Addr) bool {
		return slices.ContainsFunc(p.VIPs, func(v config.VIP) bool { return v.Addr.Addr() == a })
	})
	// The dataplane has been told of the settings before and may have taken the words.
	if err := c.words.Set(gone, false, 0); err != nil && !errors.Is(err, ErrNoWord) {
		c.wordFault = err
	}
	if !slices.Equal(p.Notify, c.plan.Notify) || p.NotifyTimeout != c.plan.NotifyTimeout {
		if c.notifier != nil {
			c.notifyEnd()
		}
		c.setNotifier(p)
		c.runNotifier(c.notifying)
	}
	c.plan, c.vips = p, nil
	for _, v := range p.VIPs {
		c.vips = append(c.vips, v.Addr.Addr())
	}
	c.forgetStrays()
	for _, l := range c.lans {
		l.setAddresses(p)
		l.prove(proof)
	}
	c.beats.setVIPs(p)
	if state, _ := c.machine.State(); state == election.Active {
		c.renewAt = 0
		c.scheduleAnnounces(c.d.Now())
	}
	return nil
}

// beatStates are the states in the words of the heartbeat's codec.
var beatStates = map[election.State]heartbeat.State{
	election.Init: heartbeat.Init, election.Backup: heartbeat.Backup, election.Active: heartbeat.Active, election.Fault: heartbeat.Fault,
}
