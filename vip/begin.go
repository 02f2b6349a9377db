package vip

import (
	"context"
	"errors"
	"time"

	"sluice/vip/address"
	"sluice/vip/election"
)

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
