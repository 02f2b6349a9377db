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
