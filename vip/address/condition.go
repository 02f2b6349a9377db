package address

import (
	"net/netip"
	"slices"
)

// condition is how what a set uses stands, as far as events tell.
type condition struct {
	parents map[string]parentState
	// faults are events that hold as long as they stand here.
	faults []Event
}

// parentState is that of one physical interface.
type parentState struct {
	index  int // 0: there is none of the name
	well   bool
	rename string
	own    []netip.Prefix
}

// condition judges a scene. last is the one before: who was renamed is known by
// it.
func (s *Set) condition(sc *scene, last condition) condition {
	c := condition{parents: map[string]parentState{}}
	for i := range s.places {
		p := &s.places[i]
		c.parents[p.parent] = parentOf(sc, p.parent, last.parents[p.parent])
		c.faults = append(c.faults, s.faults(sc, p)...)
	}
	return c
}

func parentOf(sc *scene, name string, last parentState) parentState {
	l, found := sc.named(name)
	if found {
		return parentState{index: l.index, well: l.up && l.carrier, own: sc.own(l.index)}
	}
	state := parentState{rename: last.rename, own: last.own}
	if now, there := sc.indexed(last.index); there && last.index != 0 {
		state.rename = now.name
	}
	return state
}

// faults are what Renew or Release would make good at a place.
func (s *Set) faults(sc *scene, p *place) []Event {
	var list []Event
	parent, _ := sc.named(p.parent)
	l, found := sc.named(p.name)
	if p.virtual() {
		_, good := sc.macvlan(p, parent)
		switch {
		case parent.index != 0 && (!good || s.active && !l.up):
			list = append(list, Event{Kind: MacvlanGone, Interface: p.parent, Name: p.name})
		case found && l.up && !s.active:
			list = append(list, Event{Kind: MacvlanUp, Interface: p.parent, Name: p.name})
		}
	}
	for _, vip := range p.vips {
		if s.active && !(found && sc.has(l.index, vip)) {
			list = append(list, Event{Kind: VIPGone, Interface: p.parent, Name: p.name, Addr: vip})
		}
		list = append(list, s.lying(sc, p, vip)...)
	}
	return list
}

// lying are the addresses of a VIP that should not be: ours on a backup, and those
// that somebody else put somewhere.
func (s *Set) lying(sc *scene, p *place, vip netip.Addr) []Event {
	var list []Event
	for _, a := range sc.addrs {
		l, found := sc.indexed(a.index)
		if !found || l.loopback || a.prefix.Addr() != vip || vip.Is6() && vip.IsLinkLocalUnicast() && l.name != p.name && l.name != p.parent {
			continue
		}
		_, ours := l.owner()
		switch {
		case !ours && !s.placed(sc, l, a):
			list = append(list, Event{Kind: VIPStray, Interface: p.parent, Name: l.name, Addr: vip, Lying: a.prefix})
		case !s.active:
			list = append(list, Event{Kind: VIPFound, Interface: p.parent, Name: l.name, Addr: vip})
		}
	}
	return list
}

// placed says whether an address on a physical interface is there by our doing.
func (s *Set) placed(sc *scene, l link, a lying) bool {
	return sc.leased(a) && slices.ContainsFunc(s.places, func(p place) bool {
		return !p.virtual() && p.name == l.name && slices.Contains(p.vips, a.prefix.Addr())
	})
}

// events are what became of one condition in the next.
func events(before, after condition) []Event {
	var list []Event
	for _, name := range sortedNames(after) {
		was, known := before.parents[name]
		if !known {
			// Nothing was asked of it yet: only what is wrong is told.
			was = after.parents[name]
			was.well, was.rename = true, ""
			was.index = max(was.index, 1)
		}
		list = append(list, parentEvents(name, was, after.parents[name])...)
	}
	for _, e := range after.faults {
		if !slices.ContainsFunc(before.faults, e.same) {
			list = append(list, e)
		}
	}
	for _, e := range before.faults {
		if e.Kind == VIPStray && !slices.ContainsFunc(after.faults, e.same) {
			e.Kind = VIPStrayGone
			list = append(list, e)
		}
	}
	return list
}

func parentEvents(name string, was, now parentState) []Event {
	var list []Event
	tell := func(kind Kind, other string) {
		list = append(list, Event{Kind: kind, Interface: name, Name: other})
	}
	if was.index != 0 && was.index != now.index {
		if now.rename != "" {
			tell(LinkRenamed, now.rename)
		} else {
			tell(LinkGone, "")
		}
	}
	if now.index == 0 {
		return list
	}
	if was.index != now.index {
		tell(LinkBack, "")
		was.well = true
	}
	switch {
	case was.well && !now.well:
		tell(LinkDown, "")
	case !was.well && now.well:
		tell(LinkUp, "")
	}
	if !slices.Equal(was.own, now.own) {
		list = append(list, Event{Kind: OwnChanged, Interface: name, Before: was.own, After: now.own})
	}
	return list
}

// same says whether two events tell one fault.
func (e Event) same(other Event) bool {
	return e.Kind == other.Kind && e.Interface == other.Interface && e.Name == other.Name && e.Addr == other.Addr && e.Lying == other.Lying
}

func sortedNames(c condition) []string {
	names := make([]string, 0, len(c.parents))
	for name := range c.parents {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
