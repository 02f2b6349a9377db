package election

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Alarm is something that is wrong and that somebody should look at.
type Alarm struct {
	// Name is the kind: heartbeat_link, asymmetric, segment_split, foreign,
	// not_fresh, two_active, isolated, claim_unanswered, ping, link or fault.
	Name string
	// Object is what it is about: a node, a segment's number, an interface.
	Object string
	// Text is for people.
	Text string
	// Since is when it began.
	Since time.Duration
}

// recent is how long a single packet keeps an alarm up.
const recent = 10 * time.Second

// alarms are those that are up, by what they are about.
type alarms struct {
	up   []Alarm
	next []Alarm
}

func (a *alarms) raise(name, object, format string, args ...any) {
	a.next = append(a.next, Alarm{Name: name, Object: object, Text: fmt.Sprintf(format, args...)})
}

// settle replaces what is up; what stays up keeps its beginning.
func (a *alarms) settle(now time.Duration) {
	for i := range a.next {
		n := &a.next[i]
		n.Since = now
		for _, old := range a.up {
			if old.Name == n.Name && old.Object == n.Object {
				n.Since = old.Since
			}
		}
	}
	a.up, a.next = a.next, a.up[:0]
}

// Alarms returns what is wrong now, sorted by name and object.
func (m *Machine) Alarms() []Alarm {
	list := slices.Clone(m.alarms.up)
	slices.SortFunc(list, func(a, b Alarm) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Object, b.Object)
	})
	return list
}

func (m *Machine) refreshAlarms(now time.Duration) {
	a := &m.alarms
	for _, f := range m.local.Faults {
		a.raise("fault", f, "this node cannot serve: %s", f)
	}
	for _, l := range m.local.LinksDown {
		a.raise("link", l, "link %s is down", l)
	}
	for _, p := range m.local.PingsFailed {
		a.raise("ping", p, "no host of ping item %s answers", p)
	}
	if m.isolated(now) {
		a.raise("isolated", "", "no gateway and no ping host is within reach")
	}
	m.alarmPeers(now)
	m.alarmSegments(now)
	if m.claiming.made() && now-m.claiming.since > max(10*m.BeatInterval, 4*m.Interval) {
		a.raise("claim_unanswered", "", "the active gateway does not give its role up (%s)", m.claiming.why.Text)
	} else if m.unheeded && m.state == Backup {
		a.raise("claim_unanswered", "", "the active gateway does not heed this node's adverts, so this node leaves it the role")
	}
	a.settle(now)
}

func (m *Machine) alarmPeers(now time.Duration) {
	a := &m.alarms
	for i := range m.peers {
		p := &m.peers[i]
		switch {
		case !m.alive(p, now):
			a.raise("heartbeat_link", p.Node, "no heartbeat from %s", p.Node)
		case !p.HearsUs && now-p.first >= 2*m.BeatTimeout:
			a.raise("asymmetric", p.Node, "%s is heard, but does not hear this node", p.Node)
		}
		if m.alive(p, now) && p.State == Active && m.state == Active {
			a.raise("two_active", p.Node, "%s is active, too", p.Node)
		}
	}
}

func (m *Machine) alarmSegments(now time.Duration) {
	a := &m.alarms
	active := m.activeByBeat(now)
	for i := range m.segments {
		s := &m.segments[i]
		object := fmt.Sprint(i)
		if active != nil && m.state == Backup && !m.counts(s, now) && now-active.activeSince >= m.downInterval(m.Interval) &&
			now-m.since >= m.downInterval(m.Interval) {
			a.raise("segment_split", object, "%s is active, but its adverts do not come", active.Node)
		}
		if s.suspectSeen && now-s.suspect < recent {
			a.raise("not_fresh", object, "adverts with our key are not fresh: a clock is wrong, or they are replayed")
		}
		if s.foreignFrom.IsValid() && now-s.foreign < recent {
			a.raise("foreign", object, "%s advertises for our virtual router and is no gateway of this cluster", s.foreignFrom)
		}
	}
}
