package election

import "time"

// advertise sends the next adverts and prolongs the words with them.
func (m *Machine) advertise(now time.Duration) {
	if m.state == Active {
		m.until = m.deadline(now)
		// Who hears no adverts must not think that the words close sooner.
		m.beat(now)
	}
	if !m.Alone || m.Segments > 0 {
		m.emit(Effect{Kind: Advertise, Priority: m.advertised()})
	}
	if m.state == Active {
		// Last: who is stopped in between must not have words that are open for longer
		// than what others heard of it allows.
		m.emit(Effect{Kind: Renew, Until: m.until})
	}
	// From the time it was due, so that lateness does not add up; not from long ago.
	m.advertDue = max(m.advertDue+m.Interval, now+m.Interval/2)
	if m.advertDue > now+m.Interval {
		m.advertDue = now + m.Interval
	}
}

func (m *Machine) beat(now time.Duration) {
	if len(m.Peers) == 0 {
		return
	}
	m.emit(Effect{Kind: Beat})
	m.beatDue = now + m.BeatInterval
	for i := range m.peers {
		m.beacons[i] = m.Beacon(i)
	}
}

// beaconChanged says that a peer decides by something that is not so any more.
func (m *Machine) beaconChanged() bool {
	for i := range m.peers {
		if m.Beacon(i) != m.beacons[i] {
			return true
		}
	}
	return false
}

// Advertised is the priority of this node's adverts as it is now.
func (m *Machine) Advertised() uint8 { return m.advertised() }

func (m *Machine) advertised() uint8 {
	if m.level() == Impaired && m.Impaired != 0 {
		return m.Impaired
	}
	return m.Priority
}

// Remaining is how long the owner words are open from now on: what a heartbeat that
// is sent now says.
func (m *Machine) Remaining(now time.Duration) time.Duration {
	if m.state != Active {
		return 0
	}
	return max(0, m.until-now)
}

// Beacon is what our heartbeat to peer number i says of us, but for Remaining.
func (m *Machine) Beacon(i int) Heartbeat {
	h := Heartbeat{
		State: m.state, Term: m.term, Priority: m.Priority,
		Healthy: m.level() != Unfit && m.state != Init,
		LinksOK: len(m.local.LinksDown) == 0, PingsOK: len(m.local.PingsFailed) == 0,
		Synced: m.local.Synced, Resigned: m.resigned,
	}
	if m.claiming.beat {
		h.Claim, h.Ordered = m.claiming.number, m.ordered
	}
	if m.granted.number != 0 && m.granted.peer == i {
		h.Grant = m.granted.number
	}
	return h
}
