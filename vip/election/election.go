// Package election decides whether this node is active for a virtual cluster.
//
// It is pure: what was heard and what the clock says go in, and what is to be
// done comes out, in the order in which it has to be done. It joins two sources:
// VRRP adverts on the clients' segments (RFC 9568), and the heartbeat between the
// gateways, which also says how each of them is. Its rules, in short:
//
//   - Who can be heard as active, by either, is active. Nobody takes a role from a
//     living node by himself: he claims it, and the active node gives it up first.
//   - A node that must not serve leaves (a fault). A node that serves worse than
//     another could, because a link is down or a ping item fails, gives way to it.
//     Between equals the role moves by priority only where preempting is wanted.
//   - An active node that hears nobody and reaches nobody gives up.
//   - Where adverts are all there is, an active node leaves the role to another one
//     that goes on as if it did not hear ours, and does not claim it again.
//
// Instants are readings of CLOCK_MONOTONIC, since the owner words of the
// dataplane are compared with that clock: steps of the wall clock change nothing.
package election

import (
	"net/netip"
	"time"
)

// Machine is one node's part in one election. Its methods must not be called at
// the same time. Each may have effects, which Effects hands out.
type Machine struct {
	Config
	state  State
	since  time.Duration
	reason Reason
	term   uint64

	local      Local
	localKnown bool
	soundSince time.Duration // instant of the last change to sound, while sound
	answered   time.Duration // when a ping was last answered

	peers    []peer
	segments []segment

	until         time.Duration // how long the owner words are open
	advertDue     time.Duration
	beatDue       time.Duration
	beacons       []Heartbeat // as last sent
	claiming      claim
	claims        uint32 // made so far
	granted       grant
	resigned      bool          // we gave the role up by ourselves, and nobody has it yet
	yielding      bool          // by an order: no role is claimed until the other is gone
	yieldUntil    time.Duration // 0: without limit
	ordered       bool          // by an order: this node claims the role
	orderedUntil  time.Duration
	conflict      bool          // another active node was heard since this one is active
	conflictAt    time.Duration // when that was last answered
	ignoring      int           // how many adverts came that ours should have ended
	ignoringSince time.Duration // when the first of them came
	ignored       time.Duration // and the last
	unheeded      bool          // this node gave way to one that does not heed its adverts
	freed         bool          // the active node gave its role up, and nobody was heard to have it
	gaveUp        netip.Addr    // who gave its role up by an advert, and nobody was heard since
	looked        time.Duration // when it decided last
	steady        time.Duration // since when it decides without a stop
	downAt        time.Duration // when silence means that nobody is active
	activeHeard   time.Duration // when an active node was heard last

	alarms  alarms
	effects []Effect
}

// New returns a machine in state Init: it does nothing before Local has told it
// how this node is.
func New(c Config) *Machine {
	m := &Machine{Config: c, peers: make([]peer, len(c.Peers)), segments: make([]segment, max(c.Segments, 1)), claims: c.Claims, beacons: make([]Heartbeat, len(c.Peers))}
	for i, p := range c.Peers {
		m.peers[i].Peer = p
	}
	return m
}

// State returns the state and the instant since which it holds.
func (m *Machine) State() (State, time.Duration) { return m.state, m.since }

// Reason says why the state is what it is.
func (m *Machine) Reason() Reason { return m.reason }

// Term returns the highest term this node knows; it is the one it is active in
// while it is active.
func (m *Machine) Term() uint64 { return m.term }

// Effects returns what is to be done, in order, and forgets it.
func (m *Machine) Effects() []Effect {
	e := m.effects
	m.effects = nil
	return e
}

func (m *Machine) emit(e Effect) { m.effects = append(m.effects, e) }

// Tick lets the machine act on the time.
func (m *Machine) Tick(now time.Duration) {
	m.lapse(now)
	m.decide(now)
}

// Next returns the instant at which Tick is due, at the latest half an interval
// after it decided last, whatever else woke the caller since: a backup that did not
// look for longer cannot tell silence from its own sleep.
func (m *Machine) Next(now time.Duration) time.Duration {
	next := max(now, m.looked+m.Interval/2)
	sooner := func(t time.Duration) {
		if t > now && t < next {
			next = t
		}
	}
	sooner(m.beatDue)
	switch m.state {
	case Active:
		sooner(m.advertDue)
		if m.until != 0 {
			sooner(m.until)
		}
	case Backup:
		sooner(m.silentAt(now))
		sooner(m.advertDue)
		sooner(m.soundSince + m.PreemptDelay)
		for i := range m.peers {
			sooner(m.peers[i].heard + m.BeatTimeout)
			sooner(m.peers[i].worseSince + m.Settle)
			sooner(m.peers[i].worseSince + 2*m.BeatInterval)
		}
	}
	return next
}

// decide is called after every input and whenever Next says so.
func (m *Machine) decide(now time.Duration) {
	if m.state == Init && (!m.localKnown || m.stopped()) {
		return
	}
	m.observe(now)
	if now-m.looked > m.Interval {
		m.steady = now
		if m.state == Backup {
			// It was stopped itself: silence proves nothing, and what it knew is old.
			m.signOfLife(now, m.Interval)
			m.freed, m.gaveUp, m.claiming = false, netip.Addr{}, claim{}
		}
	}
	m.looked = now
	switch m.state {
	case Init:
		m.begin(now, because(CauseStarted, "started"))
	case Fault:
		if m.fault() == "" {
			m.begin(now, because(CauseRecovered, "able to serve again"))
		}
	case Backup:
		m.decideBackup(now)
	case Active:
		m.decideActive(now)
	}
	m.grant(now)
	if len(m.Peers) > 0 && (now >= m.beatDue || m.beaconChanged()) {
		m.beat(now)
	}
	m.refreshAlarms(now)
}
