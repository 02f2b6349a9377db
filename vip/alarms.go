package vip

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sluice/vip/address"
	"sluice/vip/election"
)

// recently is for how long a single packet keeps an alarm up.
const recently = 10 * time.Second

// sign is one that shows here and not in the election: what it is about, and since
// when it stands.
type sign struct {
	name, object, text string
	since              time.Duration
}

// signs are those that stand. The loop refreshes them, so that each is known to have
// begun when it did and not when somebody asked.
type signs []sign

// refresh takes over what is wrong now; what was before keeps its beginning.
func (s *signs) refresh(now time.Duration, list []sign) {
	for i := range list {
		one := &list[i]
		one.since = now
		for _, old := range *s {
			if old.name == one.name && old.object == one.object {
				one.since = old.since
			}
		}
	}
	*s = list
}

// alarms are the election's, and what only shows here.
func (c *cluster) alarms(now time.Duration) []AlarmStatus {
	c.signs.refresh(now, c.look(now))
	var list []AlarmStatus
	for _, a := range c.machine.Alarms() {
		object := a.Object
		if a.Name == "segment_split" || a.Name == "not_fresh" || a.Name == "foreign" {
			object = c.lanName(object)
		}
		list = append(list, AlarmStatus{a.Name, object, a.Text, wall(now, a.Since)})
	}
	for _, s := range c.signs {
		list = append(list, AlarmStatus{s.name, s.object, s.text, wall(now, s.since)})
	}
	return list
}

// look finds what is wrong now.
func (c *cluster) look(now time.Duration) []sign {
	var list []sign
	up := func(name, object, text string) { list = append(list, sign{name: name, object: object, text: text}) }
	for _, l := range c.lans {
		at := l.at.Interface
		if l.problem != nil {
			up("adverts", at, "no adverts go out: "+l.problem.Error())
		}
		if l.differs != "" {
			up("settings_differ", at, l.differs)
		}
		if seen := l.counts.strange; seen != 0 && now-seen < recently {
			up("adverts_refused", at, "adverts for this virtual router come that are not signed with our key")
		}
		if seen := l.counts.dialect; seen != 0 && now-seen < recently {
			up("checksum", at, "adverts come with a checksum of the other kind: their sender may refuse ours")
		}
		if l.counts.skewed {
			up("clock", at, "the clocks of this gateway and of the active one differ by more than the replay window")
		}
	}
	list = append(list, c.beats.clockSigns()...)
	if c.beats.unproven > 0 {
		up("heartbeat_refused", "", "heartbeats come that are not signed with our key")
	}
	for _, p := range c.beats.peers {
		if s := c.beats.status(p); s.Alive && s.SettingsDiffer {
			up("settings_differ", p.node, p.node+" has other VIPs in this virtual cluster")
		}
	}
	if err := c.d.history.err(); err != nil {
		up("history", "", "changes are not kept: "+err.Error())
	}
	state, _ := c.machine.State()
	for _, at := range slices.SortedFunc(maps.Keys(c.strays), stray.compare) {
		up("stray_vip", at.String(), at.text(state))
	}
	return list
}

// lanName is the interface of a segment by its number.
func (c *cluster) lanName(number string) string {
	for _, l := range c.lans {
		if fmt.Sprint(l.index) == number {
			return l.at.Interface
		}
	}
	return number
}

// stray is an address of a VIP that somebody else put on an interface. It is left
// there: what it is for is not known here.
type stray struct {
	link string
	addr netip.Prefix
}

func strayOf(e address.Event) stray { return stray{e.Name, e.Lying} }

// String is the address and where it is, as "ip address" takes them.
func (s stray) String() string { return s.addr.String() + " dev " + s.link }

func (s stray) compare(other stray) int { return strings.Compare(s.String(), other.String()) }

func (s stray) text(state election.State) string {
	if state == election.Active {
		return fmt.Sprintf("%s lies on %s, where no election put it: it stays there when another gateway has the role", s.addr, s.link)
	}
	return fmt.Sprintf("%s lies on %s though this gateway is not active: it may answer for the VIP there, and send from it", s.addr, s.link)
}

// noteStray keeps in mind that a stray VIP came, or that it is gone.
func (c *cluster) noteStray(e address.Event) {
	at := strayOf(e)
	if e.Kind == address.VIPStrayGone {
		delete(c.strays, at)
		c.log.Info("a VIP lies no more where no election put it", "addr", at.addr, "interface", at.link)
		return
	}
	c.strays[at] = true
	c.log.Warn("a VIP lies where no election put it, and is left there", "addr", at.addr, "interface", at.link,
		"advice", "find out who put it there, and take it off: ip address del "+at.String())
}

// forgetStrays drops those of VIPs that the plan does not have.
func (c *cluster) forgetStrays() {
	maps.DeleteFunc(c.strays, func(s stray, _ bool) bool { return !slices.Contains(c.vips, s.addr.Addr()) })
}
