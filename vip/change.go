package vip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"sluice/internal/config"
	"sluice/vip/election"
)

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
