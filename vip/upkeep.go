package vip

import (
	"errors"
	"time"

	"sluice/vip/election"
)

// announceGap is the pause between the announcements of one take-over.
const announceGap = 50 * time.Millisecond

// scheduleAnnounces plans the announcements that follow the one that is due now.
func (c *cluster) scheduleAnnounces(now time.Duration) {
	a := c.plan.Announce
	c.announces = c.announces[:0]
	for i := 1; i < a.Repeat; i++ {
		c.announces = append(c.announces, now+time.Duration(i)*announceGap)
	}
	if a.Delay > 0 {
		for i := range a.Repeat {
			c.announces = append(c.announces, now+a.Delay+time.Duration(i)*announceGap)
		}
	}
	if a.Refresh > 0 {
		c.announces = append(c.announces, now+max(a.Refresh, a.Delay+time.Duration(a.Repeat)*announceGap))
	}
}

func (c *cluster) announce() {
	c.hands.do(func() {
		if err := c.set.Announce(); err != nil {
			c.log.Warn("neighbours not told where the VIPs are", "error", err)
		}
	})
}

// maintain does what time alone brings, and returns when it wants to run again.
func (c *cluster) maintain(now time.Duration) time.Duration {
	state, _ := c.machine.State()
	if state == election.Active {
		if now >= c.renewAt {
			c.renew(now)
		}
		if len(c.announces) > 0 && now >= c.announces[0] {
			last := len(c.announces) == 1
			c.announces = c.announces[1:]
			if refresh := c.plan.Announce.Refresh; last && refresh > 0 {
				c.announces = append(c.announces, now+refresh)
			}
			c.announce()
		}
	}
	if c.takeFault != "" && now >= c.takeAgain {
		c.retake(now)
	}
	if now >= c.repairAt {
		c.repairAt = now + tryAgain
		c.signs.refresh(now, c.look(now))
		if c.wordFault != nil && state != election.Active {
			c.setOwner(false, 0)
			c.machine.Local(now, c.local())
			c.carryOut()
		}
		for _, l := range c.lans {
			l.repair()
		}
		c.beats.repair()
	}
	if c.machine.Probing(now) {
		c.pings.probe(now)
	}
	return c.next(now) - now
}

func (c *cluster) next(now time.Duration) time.Duration {
	next := min(c.machine.Next(now), c.repairAt)
	if state, _ := c.machine.State(); state == election.Active {
		next = min(next, c.renewAt)
		if len(c.announces) > 0 {
			next = min(next, c.announces[0])
		}
	}
	return max(next, now)
}

// renew prolongs the leases, and puts back what somebody took away. A loop that
// stands still asks for nothing, and the leases end.
func (c *cluster) renew(now time.Duration) {
	c.renewAt = now + renewEvery
	if c.renewing {
		return
	}
	c.renewing = true
	c.hands.do(func() {
		repaired, err := c.set.Renew() // does nothing on a backup
		c.report(func(now time.Duration) { c.renewed(now, repaired, err) })
	})
}

func (c *cluster) renewed(now time.Duration, repaired []string, err error) {
	c.renewing = false
	if len(repaired) > 0 {
		c.log.Warn("put back what was taken away", "what", repaired)
		if state, _ := c.machine.State(); state == election.Active {
			c.scheduleAnnounces(now)
			c.announce()
		}
	}
	if err != nil {
		c.log.Error("VIPs not renewed", "error", err)
	}
}

// retake tries again what made this node unable to serve.
func (c *cluster) retake(now time.Duration) {
	c.takeFault = ""
	if state, _ := c.machine.State(); state != election.Active {
		if err := errors.Join(c.set.Release(), c.set.Prepare()); err != nil {
			c.takeFault, c.takeAgain = "the VIPs cannot be prepared: "+err.Error(), now+5*tryAgain
		}
	}
	c.machine.Local(now, c.local())
	c.carryOut()
}
