package heartbeat

import "time"

// Hearing says whether the peer hears us.
type Hearing uint8

// The kinds of hearing: as long as we do not hear the peer, we cannot know.
const (
	HearingUnknown Hearing = iota
	HearingYes
	HearingNo
)

// String returns the name.
func (h Hearing) String() string {
	return [...]string{"unknown", "yes", "no"}[min(h, HearingNo)]
}

// Status is what is known of a link at a moment.
type Status struct {
	// Alive: the peer has shown that it hears us, and was heard within timeout.
	Alive bool
	// LastHeard is when its last fresh message arrived, Age how long ago that was;
	// zero as long as there was none.
	LastHeard time.Time
	Age       time.Duration
	// RoundTrip is that of the last message with an echo of ours.
	RoundTrip time.Duration
	// LossIn and LossOut are the shares, 0 to 1, of the last 64 messages that were
	// lost: the peer's, up to the last that arrived, and ours, as the peer told.
	LossIn, LossOut float64
	// PeerHears says whether the peer hears us: no while we hear it means that
	// messages are lost in one direction only.
	PeerHears Hearing
	// Unproven: within timeout, authentic messages came of a run that has not shown
	// that it hears us. Somebody with our key lives, or is replayed: a reason to
	// raise an alarm, and nothing of what they say is known to be so.
	Unproven bool
	// Boot is the peer's run, Restarts how often another took its place.
	Boot     Boot
	Restarts uint64
}

// Status tells what is known now.
func (l *Link) Status(now time.Time) Status {
	s := Status{
		Boot: l.peer.boot, Restarts: l.restarts,
		Unproven: l.candidate.boot != 0 && now.Sub(l.candidate.at) <= l.timeout,
	}
	if l.peer.boot == 0 {
		return s
	}
	s.LastHeard, s.Age = l.peer.at, max(now.Sub(l.peer.at), 0)
	s.RoundTrip = l.trip
	s.LossIn, s.LossOut = loss(l.peer.arrived.bits, l.peer.arrived.span, 0), l.lossOut()
	s.Alive = s.Age <= l.timeout
	if s.Alive {
		s.PeerHears = HearingNo
		if e := l.last.Echo; e.Boot == l.own && e.Ago <= l.timeout {
			s.PeerHears = HearingYes
		}
	}
	return s
}

// Last is the peer's last fresh message, false if there was none.
func (l *Link) Last() (Message, bool) { return l.last, l.peer.boot != 0 }

// lossOut is the share of ours that the peer has not heard, of those sent so
// early that they should have been there when it sent its last message, however
// much longer they took than the one that it echoed.
func (l *Link) lossOut() float64 {
	e := l.last.Echo
	at, ok := l.sent.at(e.Sequence)
	if e.Boot != l.own || !ok {
		return 1
	}
	slack := max(l.trip, l.timeout/3)
	due := l.sent.by(at.Add(e.Ago - slack))
	return loss(e.Heard, e.Span, int64(due-e.Sequence)) //nolint:gosec // modular: due may be the earlier
}
