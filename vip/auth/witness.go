package auth

import (
	"maps"
	"slices"
	"time"
)

// Witnesses are the clocks of others, as they told them in messages that are proven
// to be new by other means than a clock: by an echo of what we have just sent. They
// tell an anchor that is wrong, of a machine that started before its clock was set,
// from a clock that was stepped and is wrong now. Nothing that was recorded can be a
// witness, so that nobody who sets this machine's clock can have it go back to when
// recordings were fresh. A Witnesses is used by one goroutine.
type Witnesses struct {
	clock  *Clock
	window time.Duration
	said   map[string]said
}

type said struct {
	at      time.Duration // by the clock's monotonic time
	instant time.Time     // theirs at that time
}

// witnessLife is how long what a witness said counts.
const witnessLife = 5 * time.Second

// NewWitnesses makes an empty one. Clocks that differ by more than window are
// different ones.
func NewWitnesses(clock *Clock, window time.Duration) *Witnesses {
	return &Witnesses{clock: clock, window: window, said: map[string]said{}}
}

// Say has a witness tell its clock: the sequence of a message that was made just now.
func (w *Witnesses) Say(who string, sequence Sequence) {
	now := w.clock.Steady()
	w.said[who] = said{w.clock.elapsed(), now.Add(sequence.Since(sequenceAt(now)))}
}

// Wrong says that the steady time is wrong and the wall's is right: a witness goes by
// the wall's and not by the steady one, and not more of them do it the other way
// round.
func (w *Witnesses) Wrong() bool {
	wall, steady := 0, 0
	for _, s := range w.heard() {
		byWall, bySteady := w.near(s, w.clock.Wall()), w.near(s, w.clock.Steady())
		switch {
		case byWall && !bySteady:
			wall++
		case bySteady && !byWall:
			steady++
		}
	}
	return wall > 0 && wall >= steady
}

// Apart is a witness whose clock is not this machine's.
type Apart struct {
	Who string
	// Steady and Wall are how far its clock is ahead of our steady time and of the
	// wall's.
	Steady, Wall time.Duration
}

// Apart returns the witnesses who would not understand us now, or after a restart,
// by name.
func (w *Witnesses) Apart() []Apart {
	heard := w.heard()
	var list []Apart
	for _, who := range slices.Sorted(maps.Keys(heard)) {
		s := heard[who]
		if !w.near(s, w.clock.Steady()) || !w.near(s, w.clock.Wall()) {
			list = append(list, Apart{who, w.ahead(s, w.clock.Steady()), w.ahead(s, w.clock.Wall())})
		}
	}
	return list
}

// heard is what was said lately.
func (w *Witnesses) heard() map[string]said {
	maps.DeleteFunc(w.said, func(_ string, s said) bool { return w.clock.elapsed()-s.at > witnessLife })
	return w.said
}

// ahead is how far a witness's clock is ahead of what ours tells now.
func (w *Witnesses) ahead(s said, now time.Time) time.Duration {
	return s.instant.Add(w.clock.elapsed() - s.at).Sub(now)
}

func (w *Witnesses) near(s said, now time.Time) bool { return w.ahead(s, now).Abs() <= w.window }
