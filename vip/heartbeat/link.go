package heartbeat

import "time"

// Recent is how many of our latest messages an echo may name to show that it is
// new.
const Recent = 64

// Link is what is known of the way to one peer and of the peer. Its memory does
// not grow. It is used by one goroutine; times are the caller's, and only their
// differences count.
type Link struct {
	own      Boot
	versions Versions
	timeout  time.Duration

	sent sent
	// peer is the run that has shown to hear us; candidate the latest other one.
	peer, candidate run
	last            Message
	// proof is the highest of our sequences that the peer has echoed. A new run
	// must echo a later one: its predecessor cannot have heard that.
	proof    uint64
	theirs   Versions
	trip     time.Duration
	restarts uint64
	retired  [8]Boot
}

// NewLink makes a link on which nothing was heard. own is this process's run; a
// peer that is silent for timeout is taken for dead.
func NewLink(own Boot, timeout time.Duration) *Link {
	return &Link{own: own, versions: Ours, timeout: timeout, theirs: Ours}
}

// SetTimeout changes when a silent peer is taken for dead.
func (l *Link) SetTimeout(timeout time.Duration) { l.timeout = timeout }

// Stamp fills in what the link knows of the next message to the peer, its boot,
// sequence, versions and echo, and returns the version to write it in. It is
// called once for each message that is sent, at the time of sending.
func (l *Link) Stamp(m *Message, now time.Time) (spoken uint8) {
	m.Boot, m.Sequence, m.Versions = l.own, l.sent.next(now), l.versions
	m.Echo = Echo{}
	if r := l.heardFrom(now); r.boot != 0 {
		m.Echo = Echo{
			Boot: r.boot, Sequence: r.arrived.highest, Heard: r.arrived.bits, Span: r.arrived.span,
			Ago: min(max(now.Sub(r.at), 0), maxAgo).Truncate(time.Microsecond),
		}
	}
	if v, ok := l.versions.Speak(l.theirs); ok {
		return v
	}
	// Hopeless, but the peer's log will name both versions.
	return l.versions.Own
}

// heardFrom is the run whose messages are echoed: the proven one while it lives,
// then whichever was heard last.
func (l *Link) heardFrom(now time.Time) *run {
	if l.peer.boot != 0 && now.Sub(l.peer.at) <= l.timeout || l.candidate.boot == 0 || l.peer.at.After(l.candidate.at) {
		return &l.peer
	}
	return &l.candidate
}

// LearnVersions notes the versions of a peer whose message was refused because
// of them, so that the next is written in one that it understands.
func (l *Link) LearnVersions(theirs Versions) { l.theirs = theirs }

// Receive judges an authentic message that was received now.
func (l *Link) Receive(m *Message, now time.Time) Freshness {
	switch {
	case m.Boot == l.own:
		return Reflected
	case m.Boot == l.peer.boot:
		if f := l.peer.arrive(m, now); f != Fresh {
			return f
		}
		l.accept(m, now)
		return Fresh
	case l.isRetired(m.Boot):
		return OldBoot
	case l.candidate.boot != m.Boot:
		l.candidate = run{boot: m.Boot}
	}
	if f := l.candidate.arrive(m, now); f != Fresh {
		return f
	}
	if !l.proves(m.Echo) {
		return Unproven
	}
	f := l.adopt()
	l.accept(m, now)
	return f
}

// proves says whether an echo can only be of a run that hears us now.
func (l *Link) proves(e Echo) bool {
	return e.Boot == l.own && e.Sequence > l.proof && e.Sequence <= l.sent.last && e.Sequence+Recent > l.sent.last
}

// Age is how long ago a message was made at most, if that is proven: it echoes one
// that we have sent since then. It is for messages that Receive found to be [Fresh] or
// [Restarted].
func (l *Link) Age(m *Message, now time.Time) (time.Duration, bool) {
	if m.Echo.Boot != l.own {
		return 0, false
	}
	at, ok := l.sent.at(m.Echo.Sequence)
	return now.Sub(at), ok
}

// adopt makes the candidate the peer.
func (l *Link) adopt() Freshness {
	f := Fresh
	if l.peer.boot != 0 {
		l.retired[l.restarts%uint64(len(l.retired))] = l.peer.boot
		l.restarts++
		f = Restarted
	}
	l.peer, l.candidate = l.candidate, run{}
	return f
}

func (l *Link) isRetired(b Boot) bool {
	for _, r := range l.retired {
		if r == b && b != 0 {
			return true
		}
	}
	return false
}

// accept takes over what a fresh message tells.
func (l *Link) accept(m *Message, now time.Time) {
	l.last, l.theirs = *m, m.Versions
	if e := m.Echo; e.Boot == l.own && e.Sequence <= l.sent.last {
		l.proof = max(l.proof, e.Sequence)
		if at, ok := l.sent.at(e.Sequence); ok {
			l.trip = max(now.Sub(at)-e.Ago, 0)
		}
	}
}
