package ping

import "time"

// group is an item at work.
type group struct {
	item  Item
	hosts []*host

	failed bool
	fails  uint64
	since  time.Time
	// changed says that nobody has been told of the last change yet.
	changed bool
}

func newGroup(i Item) *group {
	g := &group{item: i}
	for _, addr := range i.Hosts {
		g.hosts = append(g.hosts, newHost(addr, i))
	}
	return g
}

// judge decides about the item after a host has changed.
func (g *group) judge(now time.Time) {
	g.changed = true
	failed := true
	for _, h := range g.hosts {
		failed = failed && h.down
	}
	if failed == g.failed {
		return
	}
	g.failed, g.since = failed, now
	if failed {
		g.fails++
	}
}

// known says whether results decide about the item: one host that has answered,
// or all that have not.
func (g *group) known() bool {
	for _, h := range g.hosts {
		if h.known && !h.down {
			return true
		}
	}
	return g.failed
}

func (g *group) status() Status {
	s := Status{
		Item: g.item.Name, Interface: g.item.Interface, OK: !g.failed, Known: g.known(),
		Fails: g.fails, Since: g.since,
	}
	for _, h := range g.hosts {
		s.Hosts = append(s.Hosts, h.status())
	}
	return s
}

// adopt takes over what another group has learnt of the same hosts.
func (g *group) adopt(old *group, now time.Time) {
	for _, h := range g.hosts {
		for _, o := range old.hosts {
			if o.addr == h.addr {
				h.verdict = o.verdict
			}
		}
	}
	g.failed, g.fails, g.since = old.failed, old.fails, old.since
	g.judge(now)
}
