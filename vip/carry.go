package vip

import (
	"errors"
	"time"

	"sluice/vip/election"
	"sluice/vip/notify"
)

// carryOut does what the election wants, in its order.
func (c *cluster) carryOut() {
	for effects := c.machine.Effects(); len(effects) > 0; effects = c.machine.Effects() {
		for _, e := range effects {
			if c.stale(e) {
				c.machine.Tick(c.d.Now())
				continue
			}
			c.do(e)
		}
	}
}

// stale says that what came before took so long that the words have closed, and
// another gateway may be active: nothing may tell otherwise, nor open them again.
func (c *cluster) stale(e election.Effect) bool {
	if state, _ := c.machine.State(); state != election.Active || c.wordUntil == 0 || c.d.Now() < c.wordUntil {
		return false
	}
	switch e.Kind {
	case election.Renew, election.Announce, election.Beat:
		return true
	case election.Advertise:
		return e.Priority != 0
	}
	return false
}

func (c *cluster) do(e election.Effect) {
	switch e.Kind {
	case election.Take:
		c.take(e)
	case election.Adopted:
		c.setOwner(true, e.Until)
		c.renewAt = 0
	case election.Leave:
		c.setOwner(false, 0)
		c.announces = nil
		c.taking = false
		c.hands.wait(func() { c.release(c.set.Vacate()) }) // nobody must hear of it earlier
		c.hands.do(func() { c.release(c.set.Release()) })
	case election.Renew:
		c.setOwner(true, e.Until)
	case election.Announce:
		if !c.taking { // else there is nothing to announce yet
			c.scheduleAnnounces(c.d.Now())
			c.announce()
		}
	case election.Advertise:
		for _, l := range c.lans {
			l.advertise(e.Priority)
		}
	case election.Beat:
		c.beats.send()
	case election.Changed:
		c.tellChange(e)
	case election.Still:
		c.log.Warn("still active", "reason", e.Reason.Text, "term", e.Term)
		c.tell(election.Active, election.Active, e.Reason.Text, e.Term)
	}
}

func (c *cluster) release(err error) {
	if err != nil {
		c.log.Error("VIPs not all given up: the kernel drops them within their lease", "error", err)
	}
}

// maxTakePause bounds the pause after a take-over that failed.
const maxTakePause = 5 * time.Minute

// take opens the words and has the addresses taken. Meanwhile adverts go out, for
// the words are open no longer than that. If it fails this node cannot serve, and
// the election hears of it.
func (c *cluster) take(e election.Effect) {
	c.setOwner(true, e.Until)
	c.taking = true
	c.hands.do(func() {
		err := c.set.Take()
		c.report(func(now time.Duration) { c.taken(now, err) })
	})
	c.renewAt = c.d.Now() + renewEvery
}

// report is post for the hands, which must not wait for a loop that waits for them.
func (c *cluster) report(f func(now time.Duration)) {
	select {
	case c.inbox <- f:
	default:
		go c.post(f)
	}
}

// taken is what came of it, unless the role is gone again.
func (c *cluster) taken(now time.Duration, err error) {
	if !c.taking {
		return
	}
	c.taking = false
	if err != nil {
		// Each time later: a gateway that comes and goes serves nobody.
		c.takePause = min(max(2*c.takePause, 5*tryAgain), maxTakePause)
		c.takeFault = "the VIPs cannot be taken: " + err.Error()
		c.takeAgain = now + c.takePause
		c.log.Error("VIPs not taken", "error", err)
		c.machine.Local(now, c.local())
		return
	}
	c.takePause = 0
	c.scheduleAnnounces(now)
	c.announce()
}

// wordPatience is how long a VIP may be without a word: settings that changed
// reach the dataplane a little earlier than this process.
const wordPatience = 2 * time.Second

func (c *cluster) setOwner(active bool, until time.Duration) {
	c.wordUntil = until
	err := c.words.Set(c.vips, active, until)
	now := c.d.Now()
	switch {
	case !active || !errors.Is(err, ErrNoWord):
		c.wordless = 0
	case c.wordless == 0:
		c.wordless, err = now, nil
	case now-c.wordless < wordPatience:
		err = nil
	}
	if err != nil && c.wordFault == nil {
		c.log.Error("owner words not set", "error", err)
	}
	c.wordFault = err
}

func (c *cluster) tellChange(e election.Effect) {
	c.changes[string(e.Reason.Cause)]++
	c.log.Info("state changed", "from", e.From.String(), "to", e.To.String(), "reason", e.Reason.Text, "term", e.Term)
	c.d.history.add(Change{
		Time: time.Now(), Cluster: c.plan.Name, From: e.From.String(), To: e.To.String(), Cause: string(e.Reason.Cause), Reason: e.Reason.Text, Term: e.Term,
	})
	c.tell(e.From, e.To, e.Reason.Text, e.Term)
}

func (c *cluster) tell(from, to election.State, reason string, term uint64) {
	if c.notifier == nil {
		return
	}
	c.notifier.Tell(notify.Change{
		Cluster: c.plan.Name, Node: c.node, State: to.String(), Before: from.String(), Reason: reason, Term: term,
	})
}

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
