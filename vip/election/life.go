package election

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Remember gives the machine what was kept over a restart: the highest term.
func (m *Machine) Remember(term uint64) { m.term = max(m.term, term) }

// Learn tells of a term that another gateway was active in, so that the next one here
// is newer. It means nothing to an active node, which hears of another one otherwise.
func (m *Machine) Learn(term uint64) {
	if m.state != Active && term < maxTerm {
		m.term = max(m.term, term)
	}
}

// Adopt makes a new machine active without a take-over: this node was active when
// its predecessor died, and its owner words are open until the instant given.
// With until in the past, or a fault, what the predecessor held is given up first,
// and then it is as Local.
func (m *Machine) Adopt(now, until time.Duration, l Local) {
	m.local = l
	if m.state == Init && len(l.Faults) == 0 && (until == 0 || until > now) {
		m.localKnown, m.soundSince = true, now
		m.until, m.answered = until, now
		m.emit(Effect{Kind: Adopted, Until: until, Term: m.term})
		m.become(now, Active, because(CauseAdopted, "adopted from an earlier process"))
		m.advertise(now)
	} else {
		m.emit(Effect{Kind: Leave})
	}
	m.Local(now, l)
}

// Stop gives the role up for good; the machine stays in Init.
func (m *Machine) Stop(now time.Duration) {
	reason := because(CauseEnd, "stopped")
	if m.state == Active {
		m.leave(now, Init, reason, true)
	} else {
		m.become(now, Init, reason)
		m.resigned = true
	}
	m.beat(now)
}

// stopped is true after Stop: only a new machine starts again.
func (m *Machine) stopped() bool { return m.reason.Cause == CauseEnd }

// begin enters the election as backup, or the fault that keeps it out.
func (m *Machine) begin(now time.Duration, reason Reason) {
	if fault := m.fault(); fault != "" {
		if m.state != Fault {
			m.become(now, Fault, because(CauseFault, "%s", fault))
		}
		m.reason.Text = fault
		return
	}
	m.downAt = now + m.downInterval(m.Interval)
	if m.Alone {
		m.take(now, because(CauseAlone, "%s: there is no other gateway", reason.Text))
		return
	}
	m.become(now, Backup, reason)
}

// fault says why this node must not serve, "" when it may.
func (m *Machine) fault() string {
	if len(m.local.Faults) > 0 {
		return m.local.Faults[0]
	}
	// Adverts alone cannot say that one segment of several is worse here: as with
	// keepalived, a link that is down is then a fault.
	if len(m.Peers) == 0 && !m.Alone && len(m.local.LinksDown) > 0 {
		return fmt.Sprintf("link %s is down", m.local.LinksDown[0])
	}
	return ""
}

// Faults lists why this node must not serve; nil when it may.
func (m *Machine) Faults() []string {
	if f := m.fault(); f != "" && len(m.local.Faults) == 0 {
		return []string{f}
	}
	return slices.Clone(m.local.Faults)
}

// become changes the state and says so.
func (m *Machine) become(now time.Duration, to State, reason Reason) {
	from := m.state
	m.state, m.since, m.reason = to, now, reason
	m.claiming = claim{}
	m.conflict = false
	m.emit(Effect{Kind: Changed, From: from, To: to, Reason: reason, Term: m.term})
}

// take makes this node active. The words are opened and the addresses taken
// before anybody is told: who hears of it may send at once.
func (m *Machine) take(now time.Duration, reason Reason) {
	m.term++
	m.resigned, m.ordered, m.yielding, m.freed, m.gaveUp = false, false, false, false, netip.Addr{}
	m.ignoring, m.unheeded = 0, false
	m.until = m.deadline(now)
	m.emit(Effect{Kind: Take, Until: m.until, Term: m.term})
	m.become(now, Active, reason)
	m.emit(Effect{Kind: Announce})
	m.advertise(now)
}

// leave gives the role up: the words are closed and the addresses removed before
// anybody hears of it. In silence is for a node that lost its role unheard.
func (m *Machine) leave(now time.Duration, to State, reason Reason, aloud bool) {
	m.emit(Effect{Kind: Leave})
	m.until = 0
	m.resigned = aloud
	m.freed, m.gaveUp = false, netip.Addr{}
	m.downAt = now + m.downInterval(m.Interval)
	for i := range m.segments {
		m.segments[i].heard = false
	}
	m.become(now, to, reason)
	if aloud {
		m.emit(Effect{Kind: Advertise, Priority: 0})
	}
}
