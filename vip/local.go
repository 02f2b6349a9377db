package vip

import (
	"time"

	"sluice/vip/address"
	"sluice/vip/election"
)

// setHealth tells the loop how this gateway is, in what the node process knows.
func (c *cluster) setHealth(h Health) {
	c.post(func(now time.Duration) {
		c.health = h
		c.machine.Learn(h.Terms[c.plan.Name])
		c.machine.Local(now, c.local())
	})
}

// local is how this gateway is in all that is known here.
func (c *cluster) local() election.Local {
	l := election.Local{Synced: c.health.Synced[c.plan.Name], Streamed: c.health.Streamed[c.plan.Name]}
	l.Faults = append(l.Faults, c.health.Faults...)
	if c.takeFault != "" {
		l.Faults = append(l.Faults, c.takeFault)
	}
	if c.wordFault != nil {
		l.Faults = append(l.Faults, "the dataplane's owner words cannot be set: "+c.wordFault.Error())
	}
	seen := map[string]bool{}
	for _, v := range c.plan.VIPs {
		if c.links[v.Interface] != "" && !seen[v.Interface] {
			seen[v.Interface] = true
			l.LinksDown = append(l.LinksDown, v.Interface)
		}
	}
	for _, at := range c.lans {
		if at.mute() && !seen[at.at.Interface] {
			seen[at.at.Interface] = true
			l.LinksDown = append(l.LinksDown, at.at.Interface)
		}
	}
	l.PingsFailed, l.AllPingsFailed = c.pings.failed()
	return l
}

// linkEvent is something that happened to the machine's interfaces.
func (c *cluster) linkEvent(now time.Duration, e address.Event) {
	if !e.Lying.IsValid() { // noteStray does
		c.log.Info("interface", "event", e.Kind.String(), "interface", e.Interface, "name", e.Name, "addr", e.Addr)
	}
	state, _ := c.machine.State()
	switch e.Kind {
	case address.LinkDown, address.LinkGone, address.LinkRenamed:
		c.links[e.Interface] = e.Kind.String()
	case address.LinkUp, address.LinkBack:
		delete(c.links, e.Interface)
		c.repairAt = 0 // sockets of an interface that is another one now
	case address.MacvlanGone, address.VIPGone:
		if state == election.Active {
			c.renew(now)
		}
	case address.MacvlanUp, address.VIPFound:
		if state != election.Active {
			c.hands.do(func() {
				if err := c.set.Release(); err != nil {
					c.log.Error("a VIP lies here without us being active, and cannot be removed", "error", err)
				}
			})
		}
	case address.VIPStray, address.VIPStrayGone:
		c.noteStray(e)
	case address.OwnChanged:
		c.repairAt = 0
	}
	c.machine.Local(now, c.local())
}
