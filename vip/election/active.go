package election

import (
	"net/netip"
	"time"
)

// lapse comes before anything else that an instant brings: once the words closed
// by themselves another node may be active, and no stale advert may leave.
func (m *Machine) lapse(now time.Duration) {
	if m.state == Active && m.until != 0 && now >= m.until {
		m.leave(now, Backup, m.lapseReason(now), false)
	}
}

func (m *Machine) decideActive(now time.Duration) {
	switch fault := m.fault(); {
	case fault != "":
		m.leave(now, Fault, because(CauseFault, "%s", fault), true)
		return
	case m.cutOff(now) && m.local.AllPingsFailed:
		m.leave(now, Backup, because(CauseIsolated, "isolated: no gateway and no ping host is within reach"), true)
		return
	}
	for i := range m.peers {
		p := &m.peers[i]
		if !m.alive(p, now) {
			continue
		}
		if p.Claim != 0 && p.State == Backup && m.grants(p) {
			if p.Ordered {
				m.yielding, m.yieldUntil = true, 0
			}
			m.leave(now, Backup, because(CauseHanded, "handed to %s", p.Node), true)
			return
		}
		if p.State == Active && m.yieldsTo(now, p) {
			return
		}
	}
	if now >= m.advertDue {
		m.advertise(now)
	}
}

func (m *Machine) lapseReason(now time.Duration) Reason {
	ran := now-m.looked <= m.Interval // so that it would have heard
	if ran && m.Pings && len(m.peers) > 0 && !m.anyAlive(now) && now-m.answered >= 2*m.Interval {
		return because(CauseIsolated, "isolated: nobody was within reach any more")
	}
	return because(CauseStopped, "stopped for longer than adverts may be missed")
}

// grants says whether a claim is one this node would make in the other's place.
func (m *Machine) grants(p *peer) bool {
	own, other := m.own(), p.standing()
	switch {
	case other.level == Unfit:
		return false
	case p.Ordered || m.yielding || other.level > own.level:
		return true
	}
	return other.level == own.level && m.Preempt && other.better(own)
}

// yieldsTo resolves that two are active: by standing, unless the other one does
// not hear this node and so cannot know.
func (m *Machine) yieldsTo(now time.Duration, p *peer) bool {
	switch {
	case p.standing().better(m.own()):
		m.leave(now, Backup, because(CauseConflict, "%s is active, too, and stands before this node", p.Node), true)
		return true
	case p.deaf && now-p.deafSince >= 2*m.Interval:
		m.leave(now, Backup, because(CauseConflict, "%s is active, too, and does not hear this node", p.Node), true)
		return true
	}
	m.answer(now)
	return false
}

// advertWhileActive: another node advertises for our VIPs.
func (m *Machine) advertWhileActive(now time.Duration, i int, a Advert) {
	if m.activePeer(now) {
		return // its heartbeat says more
	}
	s := &m.segments[i]
	s.source, s.own = a.Source, a.Own
	if a.Priority == 0 {
		m.answer(now) // RFC 9568 §6.4.3: whoever waits for the end of silence hears us
		return
	}
	own := standing{m.level(), m.advertised(), a.Own}
	if !m.heardStanding(a.Priority, s).better(own) {
		if m.ignores(now) {
			m.unheeded = true
			m.leave(now, Backup, because(CauseConflict, "%s is active, too, and does not heed this node's adverts", a.Source), true)
			m.note(now, i, a)
			return
		}
		m.answer(now)
		return
	}
	m.leave(now, Backup, because(CauseHigher, "%s advertises priority %d", a.Source, a.Priority), true)
	m.note(now, i, a)
}

// Adverts that should have ended with ours are ignoring ours when so many came, none
// of them longer after the one before than so many intervals. keepalived hardly gets
// to send any while it hears what it refuses.
const (
	ignoringCount = 4
	ignoringGap   = 20
)

// ignores says that adverts which ours should have ended go on and on: their sender
// does not hear ours, or refuses them, and so cannot know that it has to give way.
func (m *Machine) ignores(now time.Duration) bool {
	switch {
	case m.ignoring == 0 || now-m.ignored >= ignoringGap*m.Interval:
		m.ignoring, m.ignored, m.ignoringSince = 1, now, now
	case now-m.ignored >= m.Interval/2: // else it is the same one, of another segment
		m.ignoring, m.ignored = m.ignoring+1, now
	}
	return m.ignoring >= ignoringCount && now-m.ignoringSince >= m.downInterval(m.Interval)
}

// answer says at once that this node is active, and has switches and neighbours
// learn anew who has the VIPs: the other one has told them otherwise.
func (m *Machine) answer(now time.Duration) {
	if !m.conflict || now-m.conflictAt > recent {
		m.conflict = true
		m.emit(Effect{Kind: Still, Reason: because(CauseConflict, "another active gateway was heard"), Term: m.term})
	} else if now-m.conflictAt < m.Interval/2 {
		return
	}
	m.conflictAt = now
	m.advertDue = now
	m.emit(Effect{Kind: Announce})
	m.advertise(now)
}

// deadline is how long the owner words may be open after an advert sent now: who
// hears none of it takes over later than that. With the heartbeat gone, and with
// ping hosts to tell, it also needs somebody who can be reached: an active node
// that is cut off closes its words before the other one opens its own.
func (m *Machine) deadline(now time.Duration) time.Duration {
	if m.Alone {
		return 0
	}
	until := now + 3*m.Interval
	if len(m.peers) > 0 && m.Pings {
		until = min(until, m.evidence()+2*m.Interval)
	}
	return until
}

// evidence is when this node last reached somebody.
func (m *Machine) evidence() time.Duration {
	e := m.answered
	for i := range m.peers {
		if p := &m.peers[i]; p.known {
			e = max(e, p.heard)
		}
	}
	return e
}

// Probing says that ping hosts should be asked at every advert, because
// heartbeats do not show that this node reaches anybody.
func (m *Machine) Probing(now time.Duration) bool {
	if len(m.peers) == 0 || !m.Pings {
		return false
	}
	for i := range m.peers {
		if p := &m.peers[i]; p.known && now-p.heard < m.BeatInterval*3/2 {
			return false
		}
	}
	return true
}

// ActiveSource is the address from which the active node was heard on a segment.
func (m *Machine) ActiveSource(now time.Duration, segment int) (netip.Addr, bool) {
	s := &m.segments[segment]
	return s.source, m.counts(s, now)
}
