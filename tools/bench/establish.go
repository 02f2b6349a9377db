package main

import (
	"context"
	"fmt"

	"sluice/internal/nettest/frame"
	"sluice/loader"
	"sluice/tools/bench/traffic"
)

// handshakes is how many are in progress at a time: fewer than a table of
// handshakes holds.
const handshakes = 50_000

// enough is the share of flows that must have come to be: in dsr a young flow may be
// displaced by another, and then goes on by the ring.
const enough = 0.99

// establish makes the shape's flows by their own handshakes, frame by frame
// through the program under test.
func (g *gateway) establish(ctx context.Context) error {
	for try := 0; ; try++ {
		if err := g.handshakes(ctx); err != nil {
			return err
		}
		have, err := g.entries(ctx)
		if err != nil {
			return err
		}
		if float64(have) >= enough*float64(g.Flows) {
			return nil
		}
		if try == 3 {
			return fmt.Errorf("make %d flows (%s): there are %d: %s", g.Flows, g.Mode, have, g.drops())
		}
	}
}

func (g *gateway) handshakes(ctx context.Context) error {
	for first := 0; first < g.Flows; first += handshakes {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := func(o *traffic.StreamOptions) {
			o.First, o.Flows = first, min(handshakes, g.Flows-first)
			o.Answers = g.service.Mode == loader.ModeNAT
		}
		if err := g.sendAll(frame.SYN, part); err != nil {
			return err
		}
		if g.service.Mode == loader.ModeNAT {
			continue // the far end has answered
		}
		if err := g.sendAll(frame.ACK, part); err != nil {
			return err
		}
	}
	return nil
}

// sendAll sends one frame for each flow of a part.
func (g *gateway) sendAll(flags frame.Flags, part func(*traffic.StreamOptions)) error {
	var count int
	s, err := g.stream(flags, func(o *traffic.StreamOptions) {
		part(o)
		count = o.Flows
	})
	if err != nil {
		return err
	}
	return g.send(s, count)
}

// entries counts the flows that have an entry.
func (g *gateway) entries(ctx context.Context) (int, error) {
	n := 0
	err := g.dp.Scan(ctx, func(loader.Flow) bool {
		n++
		return true
	})
	return n, err
}

// touch reads all of the flow table.
func (g *gateway) touch(ctx context.Context) error {
	_, err := g.entries(ctx)
	return err
}

// drops says what the programs dropped.
func (g *gateway) drops() string {
	all, err := g.dp.Drops()
	if err != nil {
		return err.Error()
	}
	text := "nothing was dropped"
	for _, d := range all {
		if d.Packets == 0 {
			continue
		}
		if text == "nothing was dropped" {
			text = "dropped:"
		}
		text += fmt.Sprintf(" %s %d", d.Reason, d.Packets)
	}
	return text
}
