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
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// State is a node's state for one virtual cluster, in the words of RFC 9568.
type State uint8

// The states.
const (
	Init   State = iota // not started, or told to stop
	Backup              // serves when the active node does not
	Active              // owns the VIPs
	Fault               // must not serve
)

// String returns the state as it is shown: init, backup, active or fault.
func (s State) String() string {
	switch s {
	case Init:
		return "init"
	case Backup:
		return "backup"
	case Active:
		return "active"
	case Fault:
		return "fault"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Config is what an election goes by; it does not change.
type Config struct {
	// Priority is this node's, 1 to 254; the higher one is preferred.
	Priority uint8
	// Impaired is the priority that is advertised while this node is impaired: a
	// node's rank among the nodes of the cluster, counted from 1 at the lowest
	// priority. A heard priority of at most Ranks is an impaired node's.
	Impaired, Ranks uint8
	// Interval is the time between adverts.
	Interval time.Duration
	// BeatInterval is the time between heartbeats, BeatTimeout how long after the
	// last one a peer counts as out of reach.
	BeatInterval, BeatTimeout time.Duration
	// Peers are the other gateways of the cluster that send heartbeats, in the
	// order in which Heartbeat names them. None: adverts are all that is heard.
	Peers []Peer
	// Address is this node's on the heartbeat link: between equal priorities the
	// greater one wins.
	Address netip.Addr
	// Segments is the number of segments adverts are sent on.
	Segments int
	// Claims is where the numbers of claims begin: another place in each process, so
	// that a grant of an earlier life means nothing.
	Claims uint32
	// Alone says that no second gateway exists, so nobody waits for anything.
	Alone bool
	// Preempt has the higher priority take the role back, once it was sound and
	// synced for PreemptDelay.
	Preempt      bool
	PreemptDelay time.Duration
	// Pings says that there are ping items. Settle is for how long the active node's
	// must fail while ours are answered before the role moves: longer than it takes
	// to notice an outage, so that one that both see moves nothing.
	Pings  bool
	Settle time.Duration
}

// Peer is another gateway of the cluster.
type Peer struct {
	// Node is its name.
	Node string
	// Address is its heartbeat address.
	Address netip.Addr
}

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

// beaconChanged says that a peer decides by something that is not so any more.
func (m *Machine) beaconChanged() bool {
	for i := range m.peers {
		if m.Beacon(i) != m.beacons[i] {
			return true
		}
	}
	return false
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

// Faults lists why this node must not serve; nil when it may.
func (m *Machine) Faults() []string {
	if f := m.fault(); f != "" && len(m.local.Faults) == 0 {
		return []string{f}
	}
	return slices.Clone(m.local.Faults)
}
