package election

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"sluice/vip/vrrp"
)

// Local is how this node is.
type Local struct {
	// Faults say why it must not serve: no dataplane, no settings, no listener.
	Faults []string
	// LinksDown are interfaces of VIPs that are down. PingsFailed are the ping items
	// that fail; AllPingsFailed says that no item is left, and there is one.
	LinksDown, PingsFailed []string
	AllPingsFailed         bool
	// Synced says that the flows of the active node are here. Streamed is the instant at
	// which they were last heard coming, while they are not all here; 0 for neither.
	Synced   bool
	Streamed time.Duration
}

// Advert is a VRRP advert of another node that was found good.
type Advert struct {
	Source netip.Addr
	// Own is this node's source address on the segment.
	Own      netip.Addr
	Priority uint8
	Interval time.Duration
}

// Heartbeat is what a peer says of itself.
type Heartbeat struct {
	State                     State
	Term                      uint64
	Priority                  uint8
	Healthy, LinksOK, PingsOK bool
	Synced                    bool
	// Remaining is how long its owner words are open from now on, while it is active.
	Remaining time.Duration
	// Claim asks for the role: a number, 0 for no claim. Ordered says that it is
	// because an operator wants it.
	Claim   uint32
	Ordered bool
	// Grant is the number of our claim that the peer agrees to: it is not active,
	// and will not be while the claim stands.
	Grant uint32
	// Resigned says that it gave the role up.
	Resigned bool
	// HearsUs says that it had a heartbeat of ours lately.
	HearsUs bool
}

type peer struct {
	Peer
	known bool // it was ever heard
	heard time.Duration
	first time.Duration // of the heartbeats since it was last out of reach
	Heartbeat
	activeSince time.Duration // while State is Active
	worse, deaf bool          // than this node; active and does not hear it
	worseSince  time.Duration
	deafSince   time.Duration
}

// maxTerm bounds what is believed of terms: they grow by one.
const maxTerm = 1 << 62

// maxMembers bounds what is learnt of a segment.
const maxMembers = 16

type segment struct {
	heard    bool // since this node became backup
	last     time.Duration
	silentAt time.Duration // when its silence means that it is gone
	interval time.Duration // as advertised by the active node
	priority uint8
	source   netip.Addr
	own      netip.Addr
	// suspect is when an authentic advert came that is not fresh.
	suspect     time.Duration
	suspectSeen bool
	// foreign is the last advert of a node that is none of the cluster.
	foreign     time.Duration
	foreignFrom netip.Addr
	members     []netip.Addr
	worse       bool // its sender than this node
	worseSince  time.Duration
}

// Local tells how this node is. The machine starts with the first call.
func (m *Machine) Local(now time.Duration, l Local) {
	m.lapse(now)
	was := m.localKnown && m.level() == Sound
	m.local, m.localKnown = l, true
	if m.level() == Sound && !was {
		m.soundSince = now
	}
	m.decide(now)
}

// Answered tells that a ping was answered: this node reaches somebody.
func (m *Machine) Answered(now time.Duration) { m.answered = max(m.answered, now) }

// Heartbeat tells what peer number i said. It must be authentic and fresh.
func (m *Machine) Heartbeat(now time.Duration, i int, h Heartbeat) {
	m.lapse(now)
	p := &m.peers[i]
	was := p.State
	if !m.alive(p, now) {
		p.first, was = now, Init // what it was is long ago
	}
	p.known, p.heard, p.Heartbeat = true, now, h
	switch {
	case h.State == Active:
		m.activeHeard = now
		if was != Active {
			p.activeSince = now
		}
		m.freed, m.gaveUp = false, netip.Addr{}
		m.beatOfLife(now, h.Remaining)
	case was == Active && (h.State != Init || h.Resigned):
		m.freed = true
		for i := range m.segments {
			m.segments[i].heard = false // those were its
		}
	}
	if h.Term > m.term && h.Term < maxTerm {
		m.term = h.Term
		if m.state == Active {
			// There was another one: what it did is older than what comes now, and
			// switches and neighbours believe it.
			m.term++
			m.answer(now)
		}
	}
	m.decide(now)
}

// Suspect tells of an advert that was signed with our key but is not fresh: a
// replayed one, or one of a node whose clock is wrong. It moves nothing, and
// nobody takes over while such come.
func (m *Machine) Suspect(now time.Duration, segment int) {
	m.lapse(now)
	s := &m.segments[segment]
	s.suspect, s.suspectSeen = now, true
	m.signOfLife(now, m.Interval)
	m.decide(now)
}

// Advert tells of a good advert on a segment.
func (m *Machine) Advert(now time.Duration, segment int, a Advert) {
	m.lapse(now)
	if m.state == Init || m.state == Fault {
		m.note(now, segment, a)
		return
	}
	if m.membersKnown(now) && !m.activePeer(now) {
		// All gateways are within reach and say that they are not active.
		m.hearForeign(now, segment, a)
		m.decide(now)
		return
	}
	if m.membersKnown(now) {
		m.segments[segment].learn(a.Source)
	}
	if m.state == Active {
		m.advertWhileActive(now, segment, a)
	} else {
		m.note(now, segment, a)
	}
	m.decide(now)
}

// hearForeign: an advert that is no gateway's, or one's from before it resigned.
func (m *Machine) hearForeign(now time.Duration, segment int, a Advert) {
	s := &m.segments[segment]
	if a.Priority == 0 || slices.Contains(s.members, a.Source) {
		return
	}
	s.foreign, s.foreignFrom = now, a.Source
	if m.state == Active {
		m.answer(now)
	}
}

// learn keeps the source addresses of the cluster's gateways.
func (s *segment) learn(source netip.Addr) {
	if len(s.members) < maxMembers && !slices.Contains(s.members, source) {
		s.members = append(s.members, source)
	}
}

// note remembers that an active node was heard.
func (m *Machine) note(now time.Duration, segment int, a Advert) {
	s := &m.segments[segment]
	s.own = a.Own
	if a.Priority == 0 {
		if s.heard && s.source == a.Source {
			m.hearResign(now, a.Source)
		}
		return
	}
	m.activeHeard = now
	worse := m.heardStanding(a.Priority, s).level < m.level()
	since(&s.worse, &s.worseSince, now, worse)
	m.freed, m.gaveUp = false, netip.Addr{}
	patience := m.downInterval(a.Interval)
	if m.membersKnown(now) {
		patience = m.knownDown(a.Interval)
	}
	m.downAt = max(m.downAt, now+patience)
	s.silentAt = now + patience
	s.heard, s.last, s.interval, s.priority, s.source = true, now, a.Interval, a.Priority, a.Source
}

// hearResign: the active node gave the role up, on whichever segment it was heard
// first. Whoever stands next is the first to act on it (RFC 9568 §6.4.2).
func (m *Machine) hearResign(now time.Duration, from netip.Addr) {
	m.gaveUp, m.unheeded = from, false
	m.downAt = now + vrrp.Skew(m.advertised(), m.Interval)
	if m.claiming.adverts {
		m.downAt = now
	}
	for i := range m.segments {
		m.segments[i].heard = false
	}
}

// Order is what an operator wants of the role.
type Order uint8

// The orders.
const (
	// Swap moves the role: from here to the best other node, or from there to here.
	Swap Order = iota + 1
	// Resign gives the role up, whoever takes it.
	Resign
)

// orderLife is how long an order to take the role is followed.
const orderLife = 10 * time.Second

// Errors of Order.
var (
	ErrNotActive = errors.New("this node is not active")
	ErrNobody    = errors.New("no other gateway can take the role")
	ErrFault     = errors.New("this node cannot serve")
)

// Order carries an order out. For hold, 0 for without limit, this node does not
// claim the role it gave up; it takes over all the same when the other is gone.
// It may return ErrNotActive, ErrNobody or ErrFault.
func (m *Machine) Order(now time.Duration, o Order, hold time.Duration) error {
	m.lapse(now)
	if m.state == Active {
		if o == Swap && !m.successor(now) {
			return ErrNobody
		}
		m.yielding, m.yieldUntil = true, 0
		if hold > 0 {
			m.yieldUntil = now + hold
		}
		m.leave(now, Backup, orderReason(o), true)
		m.decide(now)
		return nil
	}
	if o == Resign {
		return ErrNotActive
	}
	if m.state != Backup {
		return ErrFault
	}
	m.ordered, m.orderedUntil, m.yielding = true, now+orderLife, false
	m.decide(now)
	return nil
}

func orderReason(o Order) Reason {
	if o == Swap {
		return because(CauseOrder, "swapped by an operator")
	}
	return because(CauseOrder, "resigned by an operator")
}
