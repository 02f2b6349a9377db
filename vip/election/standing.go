package election

import (
	"net/netip"
	"time"
)

// Level says how well a node serves.
type Level uint8

// The levels, the better the higher.
const (
	Unfit    Level = iota // must not serve
	Impaired              // a link is down or a ping item fails
	Sound
)

// standing orders nodes: by level, then priority, then address.
type standing struct {
	level    Level
	priority uint8
	addr     netip.Addr
}

func (a standing) better(b standing) bool {
	switch {
	case a.level != b.level:
		return a.level > b.level
	case a.priority != b.priority:
		return a.priority > b.priority
	}
	return b.addr.Less(a.addr)
}

func (m *Machine) level() Level {
	switch {
	case !m.localKnown || m.fault() != "":
		return Unfit
	case len(m.local.LinksDown) > 0 || len(m.local.PingsFailed) > 0:
		return Impaired
	}
	return Sound
}

func (m *Machine) own() standing { return standing{m.level(), m.Priority, m.Address} }

func (p *peer) level() Level {
	switch {
	case !p.Healthy:
		return Unfit
	case !p.LinksOK || !p.PingsOK:
		return Impaired
	}
	return Sound
}

func (p *peer) standing() standing { return standing{p.level(), p.Priority, p.Address} }

// alive says whether a peer was heard by heartbeat lately.
func (m *Machine) alive(p *peer, now time.Duration) bool {
	return p.known && now-p.heard < m.BeatTimeout
}

func (m *Machine) anyAlive(now time.Duration) bool {
	for i := range m.peers {
		if m.alive(&m.peers[i], now) {
			return true
		}
	}
	return false
}

// membersKnown says that every other gateway is within reach by heartbeat, so
// that an advert of a node which none of them is cannot be theirs.
func (m *Machine) membersKnown(now time.Duration) bool {
	for i := range m.peers {
		if !m.alive(&m.peers[i], now) {
			return false
		}
	}
	return len(m.peers) > 0
}

// activePeer says whether a peer within reach is active or about to be.
func (m *Machine) activePeer(now time.Duration) bool {
	for i := range m.peers {
		if p := &m.peers[i]; m.alive(p, now) && (p.State == Active || p.Claim != 0) {
			return true
		}
	}
	return false
}

// best says whether no peer within reach, up to just now, would serve better.
func (m *Machine) best(now time.Duration) bool {
	for i := range m.peers {
		p := &m.peers[i]
		if (m.alive(p, now) || m.justLost(p, now)) && p.level() != Unfit && p.State != Fault && m.behind(p) {
			return false
		}
	}
	return true
}

// justLost says that a backup is out of reach since a moment ago. It may be here that
// nothing arrives, and where two lose each other it is at the same time: who stands
// behind lets the other one speak first.
func (m *Machine) justLost(p *peer, now time.Duration) bool {
	return p.known && p.State == Backup && now < p.heard+m.BeatTimeout+m.BeatInterval+m.Interval/2
}

// behind says whether this node stands behind a peer for a role that is free. Who
// gave it up stands behind, who is ordered to take it before.
func (m *Machine) behind(p *peer) bool {
	if m.ordered != (p.Ordered && p.Claim != 0) {
		return !m.ordered
	}
	if m.resigned != p.Resigned {
		return m.resigned
	}
	return p.standing().better(m.own())
}

// successor says whether a peer could take the role.
func (m *Machine) successor(now time.Duration) bool {
	for i := range m.peers {
		p := &m.peers[i]
		if m.alive(p, now) && p.State == Backup && p.level() != Unfit {
			return true
		}
	}
	return false
}

// observe keeps what follows from time and inputs together: since when peers are
// worse than this node, or do not hear it.
func (m *Machine) observe(now time.Duration) {
	for i := range m.peers {
		p := &m.peers[i]
		if !m.alive(p, now) {
			p.worse, p.deaf = false, false
			continue
		}
		since(&p.worse, &p.worseSince, now, p.level() < m.level())
		since(&p.deaf, &p.deafSince, now, p.State == Active && !p.HearsUs)
	}
	if m.yielding && m.yieldUntil != 0 && now >= m.yieldUntil {
		m.yielding = false
	}
	if m.ordered && now >= m.orderedUntil {
		m.ordered = false
	}
}

func since(held *bool, at *time.Duration, now time.Duration, holds bool) {
	if holds && !*held {
		*at = now
	}
	*held = holds
}
