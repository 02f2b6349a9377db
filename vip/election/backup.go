package election

import (
	"time"

	"sluice/vip/vrrp"
)

// decideBackup follows, in this order: what a heartbeat says of an active node,
// that the role is free, what adverts say, and silence.
func (m *Machine) decideBackup(now time.Duration) {
	if fault := m.fault(); fault != "" {
		m.become(now, Fault, because(CauseFault, "%s", fault))
		return
	}
	if p := m.activeByBeat(now); p != nil {
		m.freed, m.resigned = false, false
		m.claimFrom(now, p)
		return
	}
	free := m.freed || m.nobodyActive(now)
	if s := m.heardActive(now); s != nil && !free {
		m.resigned = false
		m.claimOnSegment(now, s)
		return
	}
	silence := because(CauseSilent, "no active gateway was heard")
	if m.claiming.adverts {
		silence = m.claiming.why // that is how most give way to adverts
		m.claiming.adverts = false
	}
	if m.isolated(now) {
		// Back again it listens first: the other one may be active all the while.
		m.downAt = now + m.downInterval(m.Interval)
	}
	switch {
	case free && (m.ordered || m.best(now)) && m.heardByAll(now):
		m.takeGranted(now, because(CauseFree, "the role was free"))
	case now >= m.silentAt(now) && m.gaveUp.IsValid():
		m.takeGranted(now, because(CauseFree, "%s gave the role up", m.gaveUp))
	case now >= m.silentAt(now):
		m.takeGranted(now, silence)
	default:
		m.withdraw()
	}
}

// activeByBeat is the active node, if heartbeats tell of one.
func (m *Machine) activeByBeat(now time.Duration) *peer {
	for i := range m.peers {
		if p := &m.peers[i]; m.alive(p, now) && p.State == Active {
			return p
		}
	}
	return nil
}

// nobodyActive says that every other gateway is within reach and has said that
// its owner words are closed. One that only just started may still own the words
// its predecessor opened.
func (m *Machine) nobodyActive(now time.Duration) bool {
	for i := range m.peers {
		p := &m.peers[i]
		if !m.alive(p, now) || p.State == Active || p.State == Init && !p.Resigned {
			return false
		}
	}
	return len(m.peers) > 0 && !m.anyHeard(now)
}

// heardActive is the segment on which the active node was heard last, if its
// adverts still count.
func (m *Machine) heardActive(now time.Duration) *segment {
	var last *segment
	for i := range m.segments {
		if s := &m.segments[i]; m.counts(s, now) && (last == nil || s.last > last.last) {
			last = s
		}
	}
	return last
}

func (m *Machine) anyHeard(now time.Duration) bool { return m.heardActive(now) != nil }

func (m *Machine) counts(s *segment, now time.Duration) bool {
	return s.heard && now < s.silentAt
}

// downInterval is the silence after which an active node that advertised each
// interval counts as gone (RFC 9568 §6.1).
func (m *Machine) downInterval(interval time.Duration) time.Duration {
	return 3*interval + vrrp.Skew(m.advertised(), interval)
}

// knownDown is downInterval after an advert of a gateway whose heartbeats come. Its
// words close after three intervals, and who is next is agreed by heartbeat, so that
// the skew need not tell: a little of it covers what differs between two links.
func (m *Machine) knownDown(interval time.Duration) time.Duration {
	return 3*interval + vrrp.Skew(m.advertised(), interval)/4
}

// signOfLife puts off the end of silence.
func (m *Machine) signOfLife(now, interval time.Duration) {
	m.downAt = max(m.downAt, now+m.downInterval(interval))
}

// beatOfLife is signOfLife by a heartbeat, which says how long the sender's words
// are open at most: its adverts may be unheard here. Where they are heard it is those
// that count, and a heartbeat that came after the last one must add nothing.
func (m *Machine) beatOfLife(now, remaining time.Duration) {
	margin := vrrp.Skew(m.advertised(), m.Interval)
	if m.anyHeard(now) {
		margin /= 4
	}
	m.downAt = max(m.downAt, now+min(remaining, 3*m.Interval)+margin)
}

// silentAt is when silence means that this node has to take the role. It leaves
// time to one that stands before it, and when impaired it may be the one that is
// cut off. And it waits for flows that still come, longer than another gateway needs
// that has them all.
func (m *Machine) silentAt(now time.Duration) time.Duration {
	switch {
	case m.level() == Impaired && !m.anyAlive(now):
		return m.downAt + m.Settle + m.downInterval(m.Interval)
	case !m.best(now):
		return m.downAt + m.downInterval(m.Interval)
	case m.coming() && !m.gaveUp.IsValid():
		return m.downAt + max(m.Settle, 2*m.downInterval(m.Interval))
	}
	return m.downAt
}

// coming says that the active node is silent, but that its flows go on coming and are
// not all here: its election is stopped, it is not. What the stream brought up to an
// interval after the last advert says nothing, since power fails for both at once.
func (m *Machine) coming() bool {
	return m.local.Streamed > m.activeHeard+m.Interval
}

// cutOff says that no other gateway is within reach by heartbeat, and that ping
// hosts could tell whose fault that is.
func (m *Machine) cutOff(now time.Duration) bool {
	return len(m.peers) > 0 && m.Pings && !m.anyAlive(now)
}

// isolated says that this node reaches nobody just now: then the fault is here.
func (m *Machine) isolated(now time.Duration) bool {
	return m.cutOff(now) && (m.local.AllPingsFailed || now-m.answered >= 2*m.Interval)
}

// claimFrom asks the active node for its role by heartbeat, when there is reason.
func (m *Machine) claimFrom(now time.Duration, p *peer) {
	why := m.reasonToClaim(now, p)
	if why.none() {
		m.withdraw()
		return
	}
	m.claim(now, why)
	// A node that does not hear our heartbeats may hear our adverts.
	m.claiming.adverts = p.deaf
	if m.claiming.adverts && now >= m.advertDue {
		m.advertise(now)
	}
}

func (m *Machine) reasonToClaim(now time.Duration, p *peer) Reason {
	switch own := m.own(); {
	case own.level == Unfit:
		return Reason{}
	case m.ordered:
		return because(CauseOrder, "swapped by an operator")
	case own.level > p.level():
		wait := m.Settle
		if !p.LinksOK || !p.Healthy {
			wait = 2 * m.BeatInterval // a link is no matter of timeouts
		}
		if !p.worse || now-p.worseSince < wait {
			return Reason{}
		}
		return because(CauseWorse, "%s serves worse: %s", p.Node, p.trouble())
	case own.level == p.level() && own.better(p.standing()):
		if !m.mayPreempt(now) {
			return Reason{}
		}
		return because(CausePreempt, "priority is higher than that of %s", p.Node)
	}
	return Reason{}
}

func (p *peer) trouble() string {
	switch {
	case !p.Healthy:
		return "it has a fault"
	case !p.LinksOK:
		return "a link of its is down"
	}
	return "its pings fail"
}

// mayPreempt: only a node that was well for a while and has the flows.
func (m *Machine) mayPreempt(now time.Duration) bool {
	return m.Preempt && !m.yielding && m.level() == Sound && now-m.soundSince >= m.PreemptDelay &&
		(len(m.peers) == 0 || m.local.Synced)
}

// claimOnSegment advertises against an active node that only adverts tell of. It
// gives way to a higher priority; then this node takes the role.
func (m *Machine) claimOnSegment(now time.Duration, s *segment) {
	why := m.reasonOnSegment(now, s)
	if why.none() {
		m.claiming = claim{}
		return
	}
	if !m.claiming.adverts {
		m.claiming = claim{adverts: true, since: now, why: why}
		m.advertDue = now
	}
	// One of ours answers by resigning; others fall silent.
	quiet := m.downInterval(s.interval)
	if last := max(s.last, m.claiming.since); now-last >= quiet {
		m.take(now, why)
		return
	}
	if now >= m.advertDue {
		m.advertise(now)
	}
}

func (m *Machine) reasonOnSegment(now time.Duration, s *segment) Reason {
	own := standing{m.level(), m.Priority, s.own}
	other := m.heardStanding(s.priority, s)
	switch {
	case own.level == Unfit || m.yielding || m.unheeded && !m.ordered:
		return Reason{}
	case m.ordered && own.better(other):
		return because(CauseOrder, "swapped by an operator")
	case own.level > other.level && now-m.soundSince >= m.Settle && now-s.worseSince >= m.Settle:
		return because(CauseWorse, "%s advertises that it serves worse", s.source)
	case own.level == other.level && own.better(other) && m.mayPreempt(now):
		return because(CausePreempt, "priority is higher than that of %s", s.source)
	}
	return Reason{}
}

// heardStanding is what an advert says of its sender.
func (m *Machine) heardStanding(priority uint8, s *segment) standing {
	level := Sound
	if priority <= m.Ranks {
		level = Impaired
	}
	return standing{level, priority, s.source}
}

// heardByAll says that every gateway within reach hears this node: one that does
// not may act in ignorance of its claim, and only silence keeps the two apart.
func (m *Machine) heardByAll(now time.Duration) bool {
	for i := range m.peers {
		p := &m.peers[i]
		if m.alive(p, now) && !p.HearsUs && (p.State != Init || !p.Resigned) {
			return false
		}
	}
	return true
}
