package election

import (
	"errors"
	"time"
)

// simLoop is what the daemon's loop does with effects, and how long that takes.
type simLoop struct {
	// takes, leaves and adopts bound how long work on addresses takes: taking them is
	// done beside the loop, which waits for the others.
	takes, leaves, adopts time.Duration
	takeFails, adoptFails bool
	mute                  bool // adverts cannot be sent
	stopIn                int  // effects until the process is stopped, 0 for not

	busy      bool
	pending   []Effect
	inbox     []func()
	looked    time.Duration
	deafUntil time.Duration
	handsDone time.Duration // when what the hands have to do is done
	taking    int           // number of the take-over under way, 0 for none
	takings   int
	unsent    int // adverts in a row that could not be sent
	fault     error
	faultEnds time.Duration
}

// reset is for a new process.
func (l *simLoop) reset() {
	*l = simLoop{takes: l.takes, leaves: l.leaves, adopts: l.adopts, takeFails: l.takeFails, adoptFails: l.adoptFails, mute: l.mute, takings: l.takings}
}

// well ends what makes a machine slow or unable.
func (l *simLoop) well() {
	l.takes, l.leaves, l.adopts, l.takeFails, l.adoptFails, l.mute = 0, 0, 0, false, false, false
	l.unsent, l.stopIn = 0, 0
}

// addTo adds what the daemon knows by itself.
func (l *simLoop) addTo(local *Local, now time.Duration) {
	if l.fault != nil && now < l.faultEnds {
		local.Faults = append(append([]string(nil), local.Faults...), l.fault.Error())
	}
	if l.unsent > 1 {
		local.LinksDown = append(local.LinksDown, "adverts")
	}
}

// upTo is a time up to a bound.
func (w *world) upTo(d time.Duration) time.Duration {
	if d == 0 {
		return 0
	}
	return time.Duration(w.rng.Int64N(int64(d)))
}

// run carries effects out, as far as the process runs.
func (n *simNode) run() {
	for !n.busy && !n.frozen {
		if len(n.pending) == 0 {
			n.pending = n.m.Effects()
		}
		if len(n.pending) == 0 {
			return
		}
		e := n.pending[0]
		n.pending = n.pending[1:]
		if n.stale(e) {
			n.m.Tick(n.w.now)
		} else {
			n.do(e)
		}
		n.w.check()
		if n.stopIn--; n.stopIn == 0 {
			n.frozen = true
			n.w.note("%d is stopped after effect %d", n.id, e.Kind)
		}
		n.stopIn = max(n.stopIn, 0)
	}
}

// stale: what came before took so long that the words have closed.
func (n *simNode) stale(e Effect) bool {
	if state, _ := n.m.State(); state != Active || n.wordUntil == 0 || n.w.now < n.wordUntil {
		return false
	}
	return e.Kind == Renew || e.Kind == Announce || e.Kind == Beat || e.Kind == Advertise && e.Priority != 0
}

func (n *simNode) do(e Effect) {
	switch e.Kind {
	case Take:
		n.wordOpen, n.wordUntil = true, e.Until
		n.take()
	case Adopted:
		n.wordOpen, n.wordUntil = true, e.Until
	case Renew:
		n.wordUntil = e.Until
	case Leave:
		n.wordOpen, n.wordUntil, n.taking = false, 0, 0
		n.block(max(0, n.handsDone-n.w.now) + n.w.upTo(n.leaves))
	case Changed:
		n.changes = append(n.changes, e)
		n.w.note("%d %s → %s: %s (term %d)", n.id, e.From, e.To, e.Reason.Text, e.Term)
	case Advertise:
		if s, _ := n.m.State(); s == Active && e.Priority != 0 && !n.open() {
			n.w.note("%d ADVERTISES A CLOSED WORD", n.id)
			n.w.lied = true
		}
		if n.mute {
			n.unsent++
		} else {
			n.unsent = 0
			n.sendAdverts(e.Priority)
		}
	case Beat:
		n.sendBeats()
	case Announce:
		if n.taking == 0 {
			n.announce++
		}
	case Still:
		n.stills++
	}
}

// take has the addresses taken beside the loop.
func (n *simNode) take() {
	n.takings++
	number := n.takings
	n.taking = number
	n.handsDone = max(n.handsDone, n.w.now) + n.w.upTo(n.takes)
	n.soon(n.handsDone-n.w.now, func() {
		n.input(func() {
			if n.taking != number {
				return
			}
			n.taking = 0
			if !n.takeFails {
				n.announce++
				return
			}
			n.cannot(errors.New("the VIPs cannot be taken"), 5*time.Second)
			n.m.Local(n.w.now, n.localNow())
		})
	})
}

func (n *simNode) cannot(why error, life time.Duration) {
	n.fault, n.faultEnds = why, n.w.now+life
}

// soon does something in this process, when it runs.
func (n *simNode) soon(d time.Duration, do func()) {
	generation := n.generation
	var again func()
	again = func() {
		switch {
		case n.dead || n.generation != generation:
		case n.frozen:
			n.w.after(time.Millisecond, again)
		default:
			do()
		}
	}
	if d == 0 {
		again()
		return
	}
	n.w.after(d, again)
}

// block keeps the loop from anything else.
func (n *simNode) block(d time.Duration) {
	if d == 0 {
		return
	}
	n.busy = true
	n.soon(d, func() {
		n.busy = false
		n.run()
		for len(n.inbox) > 0 && !n.busy && !n.frozen {
			f := n.inbox[0]
			n.inbox = n.inbox[1:]
			n.input(f)
		}
	})
}

// input hands something to the loop.
func (n *simNode) input(f func()) {
	if n.busy {
		n.inbox = append(n.inbox, f)
		return
	}
	n.awake()
	if n.busy || n.frozen {
		n.inbox = append(n.inbox, f)
		return
	}
	f()
	n.run()
}

// packet is input that is lost where the loop was stopped for long.
func (n *simNode) packet(f func()) {
	arrived := n.w.now
	n.input(func() {
		if arrived >= n.deafUntil {
			f()
		}
	})
}

// awake notices that the loop did not run for long.
func (n *simNode) awake() {
	now := n.w.now
	if n.looked != 0 && now-n.looked > max(n.cfg.Interval, 200*time.Millisecond) {
		n.deafUntil = now + 20*time.Millisecond
		n.m.Tick(now)
		n.run()
	}
	n.looked = now
}
