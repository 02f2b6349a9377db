package election

import "time"

// claim is this node's wish to have the role. By heartbeat it needs the consent of
// every gateway within reach, so that two never take a free role at the same time;
// by adverts it is what RFC 9568 calls preempting.
type claim struct {
	beat, adverts bool
	number        uint32
	since         time.Duration
	why           Reason
}

func (c claim) made() bool { return c.beat || c.adverts }

// grant is the consent this node gave: it claims and takes nothing meanwhile.
type grant struct {
	peer   int
	number uint32
}

// claim asks by heartbeat. A claim that stands keeps its number and reason.
func (m *Machine) claim(now time.Duration, why Reason) {
	if m.claiming.beat || m.granted.number != 0 {
		return
	}
	m.claims++
	if m.claims == 0 {
		m.claims++
	}
	m.claiming = claim{beat: true, adverts: m.claiming.adverts, number: m.claims, since: now, why: why}
}

// withdraw gives up a claim of either kind: what it was for is not so any more.
func (m *Machine) withdraw() { m.claiming = claim{} }

// takeGranted takes a role that is free once everybody within reach agrees. Who
// cannot hear this node cannot agree either, if that is no consequence of our own
// silence: then it may be about to take over. Who is about to end needs not agree.
func (m *Machine) takeGranted(now time.Duration, why Reason) {
	if m.granted.number != 0 {
		return
	}
	m.claim(now, why)
	for i := range m.peers {
		p := &m.peers[i]
		if !m.alive(p, now) || p.State == Init && p.Resigned {
			continue
		}
		if !p.HearsUs && now-m.steady >= max(2*m.BeatTimeout, m.downInterval(m.Interval)+m.BeatInterval) {
			continue
		}
		if p.Grant != m.claiming.number {
			return
		}
	}
	m.take(now, m.claiming.why)
}

// grant consents to the claim of a peer: one at a time, and not against a claim of
// our own that stands before it.
func (m *Machine) grant(now time.Duration) {
	if g := m.granted; g.number != 0 {
		p := &m.peers[g.peer]
		if m.alive(p, now) && p.Claim == g.number && m.state != Active {
			return
		}
		// It may have taken it, up to now, and be silent since.
		m.granted, m.freed = grant{}, false
		m.downAt = max(m.downAt, now+m.downInterval(m.Interval))
	}
	if m.state == Active || m.state == Init || m.activeByBeat(now) != nil {
		return // the active node is who gives way
	}
	for i := range m.peers {
		p := &m.peers[i]
		if !m.alive(p, now) || p.Claim == 0 || m.claiming.beat && !m.behind(p) {
			continue
		}
		m.claiming = claim{}
		m.granted = grant{i, p.Claim}
		return
	}
}
