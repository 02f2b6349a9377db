package main

import (
	"context"

	"sluice/internal/nettest"
)

// fault is one way in which an active gateway goes.
type fault struct {
	name string
	// strike has it happen to the active gateway.
	strike func(context.Context, contender, *side) error
	// dies says that what runs on the gateway is dead then.
	dies bool
}

// faults are all of them, by the words of --cases.
var faults = []fault{
	{name: "graceful", dies: true, strike: func(ctx context.Context, c contender, s *side) error { return c.stop(ctx, s) }},
	{name: "kill9", strike: func(ctx context.Context, c contender, s *side) error { return c.kill9(ctx, s) }},
	{name: "poweroff", dies: true, strike: func(_ context.Context, c contender, s *side) error { return s.PowerOff() }},
	{name: "cable", strike: func(_ context.Context, _ contender, s *side) error { return s.CableOut(nettest.OutsideLink) }},
	{name: "silent", strike: func(_ context.Context, _ contender, s *side) error {
		return s.SilentLoss(nettest.OutsideLink, nettest.BothWays)
	}},
}

// heal undoes it: the gateway is whole again, and what should run on it runs.
func (f fault) heal(ctx context.Context, c contender, s *side) error {
	if s.Off() {
		if err := c.boot(s); err != nil {
			return err
		}
	}
	if err := s.Restore(); err != nil {
		return err
	}
	return c.revive(ctx, s)
}
