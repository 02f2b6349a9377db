package auth_test

import (
	"time"

	"sluice/vip/auth"
)

// world is a machine's clocks: time passes for both, a step moves the wall only.
type world struct {
	wall time.Time
	mono time.Duration
}

func (w *world) clock() *auth.Clock {
	return auth.NewClock(func() time.Time { return w.wall }, func() time.Duration { return w.mono })
}

func (w *world) pass(d time.Duration) { w.wall, w.mono = w.wall.Add(d), w.mono+d }
func (w *world) step(d time.Duration) { w.wall = w.wall.Add(d) }

// pass lets time pass for these; the others' machines are stopped.
func pass(d time.Duration, worlds ...*world) {
	for _, w := range worlds {
		w.pass(d)
	}
}

var noon = time.Date(2026, 6, 26, 12, 0, 0, 0, time.UTC)
