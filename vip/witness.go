package vip

import (
	"fmt"
	"time"

	"sluice/vip/auth"
	"sluice/vip/heartbeat"
)

// newsAge is how old a heartbeat may be that tells how a peer's clock stands.
const newsAge = time.Second

// witness has a peer's heartbeat tell whether this gateway signs by a wrong clock: it
// started before the machine's clock was set, or was stopped meanwhile.
func (b *beats) witness(p *beatPeer, m *heartbeat.Message, clock auth.Sequence) {
	if age, proven := p.link.Age(m, time.Now()); !proven || age > newsAge {
		return
	}
	b.clocks.Say(p.node, clock)
	if !b.clocks.Wrong() {
		return
	}
	b.c.log.Warn("signing by the machine's clock as it is set now", "set_by", b.c.d.clock.Drift(), "as", p.node)
	b.c.d.clock.Reanchor()
}

// clockSigns tell of clocks that are too far apart for adverts to be taken, now or
// after a restart, where the age of adverts counts.
func (b *beats) clockSigns() []sign {
	signs := false
	for _, l := range b.c.lans {
		signs = signs || l.mode != auth.Off
	}
	if !signs || b.clocks == nil {
		return nil
	}
	var list []sign
	for _, a := range b.clocks.Apart() {
		text := fmt.Sprintf("the clock of %s is ahead of this machine's by %v, and of the one that adverts are signed by here by %v: set all machines by NTP",
			a.Who, a.Wall.Round(time.Millisecond), a.Steady.Round(time.Millisecond))
		list = append(list, sign{name: "clock", object: a.Who, text: text})
	}
	return list
}
