package auth

import (
	"sync"
	"time"
)

// Clock tells the time of trailers. Its steady time is the wall's at the anchor,
// plus what has passed since by the monotonic clock: a step of the wall's clock
// does not move it. It may be used by several goroutines.
type Clock struct {
	wall    func() time.Time
	elapsed func() time.Duration

	mu     sync.Mutex
	anchor time.Time
	at     time.Duration
}

// NewClock anchors a clock at what wall tells now. elapsed is monotonic time
// since any fixed moment.
func NewClock(wall func() time.Time, elapsed func() time.Duration) *Clock {
	c := &Clock{wall: wall, elapsed: elapsed}
	c.Reanchor()
	return c
}

// Steady is the steady time.
func (c *Clock) Steady() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.anchor.Add(c.elapsed() - c.at)
}

// Wall is what the wall's clock tells, steps and all.
func (c *Clock) Wall() time.Time { return c.wall().Round(0) }

// Drift is how far the wall's clock is ahead of the steady time: what it was
// stepped since the anchor, or how long a virtual machine was stopped.
func (c *Clock) Drift() time.Duration { return c.Wall().Sub(c.Steady()) }

// Reanchor sets the steady time to the wall's. Do this only where [Witnesses] say so:
// whoever can set this machine's clock must not be able to make old messages fresh,
// and a jump makes our own messages stale for those whose clocks did not jump.
func (c *Clock) Reanchor() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.anchor, c.at = c.Wall(), c.elapsed()
}
