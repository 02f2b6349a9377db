package main

import (
	"context"
	"math"
	"time"

	"sluice/internal/nettest/frame"
	"sluice/loader"
	"sluice/tools/bench/figure"
	"sluice/tools/bench/traffic"
)

// tableXDP makes rows of samples.
func tableXDP(subjects []subject, live, fed [][]float64) figure.Table {
	t := figure.Table{Name: "xdp", Notes: []string{
		"ns: run time of the program by the kernel's own statistics, on live frames in the driver; it holds what taking the time costs, which is row \"empty\"",
		"per_floor: ns in units of the floor's, both from the same round; per_floor_net: the same after subtracting empty from both",
		"fed_ns: the program run in a loop without driver and statistics, less writing the frame, which \"empty\" measures",
		"ring_in_doubt: share of ring entries whose packets ask the flow table though the mode need not, of which 2 % always have their turn to see their flows, by one data segment in 8; guard: what it has to look at",
	}}
	for i, s := range subjects {
		row := figure.Row{Varied: s.varied, Facts: s.facts, Figures: []figure.Figure{
			{Name: "ns", Unit: "ns", Samples: live[i]},
		}}
		if len(s.facts) == 0 {
			row.Facts = []figure.Cell{{Name: "entries", Value: 0}, {Name: "ring_in_doubt", Value: "-"}}
		}
		if i != emptySubject {
			empty := live[emptySubject]
			row.Figures = append(row.Figures,
				figure.Figure{Name: "per_floor", Unit: "x", Samples: figure.Ratios(live[i], live[s.floor])},
				figure.Figure{Name: "per_floor_net", Unit: "x", Samples: figure.Ratios(
					figure.Differences(live[i], empty), figure.Differences(live[s.floor], empty))},
				figure.Figure{Name: "fed_ns", Unit: "ns", Samples: figure.Differences(fed[i], fed[emptySubject])},
			)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// facts are the state of the tables, told with every figure.
func (g *gateway) facts(ctx context.Context) ([]figure.Cell, error) {
	entries, err := g.entries(ctx)
	if err != nil {
		return nil, err
	}
	marked := 0
	for id := range g.Services {
		ring, err := g.dp.Ring(loader.ServiceID(id))
		if err != nil {
			return nil, err
		}
		marked += ring.Count().Any
	}
	share := float64(marked) / float64(loader.RingEntries*g.Services)
	return []figure.Cell{
		{Name: "entries", Value: entries}, {Name: "ring_in_doubt", Value: math.Round(share*1000) / 1000},
	}, nil
}

// inService is the share of entries whose flows are looked up in turn, at the
// lifetime that nobody changed: what is in doubt when nothing happens.
const inService = 0.02

// prove brings the flows to where they are for most of their lives: each sends
// data when it is old enough to be believed, and then the marks are cleared that
// nothing in the tables calls for, as the node does it.
func prove(ctx context.Context, gateways []*gateway) error {
	all := func(do func(*gateway) error) error {
		for _, g := range gateways {
			if err := do(g); err != nil {
				return err
			}
		}
		return nil
	}
	if err := all((*gateway).talk); err != nil {
		return err
	}
	if err := pause(ctx, 3*tick); err != nil {
		return err
	}
	return all(func(g *gateway) error {
		if err := g.talk(); err != nil {
			return err
		}
		if err := g.turnMarks(); err != nil {
			return err
		}
		return g.settleMarks(ctx)
	})
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// talk has every flow send data once.
func (g *gateway) talk() error {
	return g.sendAll(frame.ACK|frame.PSH, func(o *traffic.StreamOptions) {
		o.Frame.Payload = []byte("0123456789")
		o.Answers = g.service.Mode == loader.ModeNAT
	})
}

func (g *gateway) turnMarks() error {
	return g.rings(func(_ loader.ServiceID, r *loader.Ring) { r.Turn(loader.Moved | loader.Pending) })
}

func (g *gateway) settleMarks(ctx context.Context) error {
	found, err := g.dp.Doubts(ctx)
	if err != nil {
		return err
	}
	return g.rings(func(id loader.ServiceID, r *loader.Ring) {
		r.Settle(loader.Moved|loader.Pending, found[id])
		r.Refresh(0, loader.RingEntries*2/100)
	})
}

func (g *gateway) rings(do func(loader.ServiceID, *loader.Ring)) error {
	for id := range loader.ServiceID(g.Services) {
		r, err := g.dp.Ring(id)
		if err != nil {
			return err
		}
		do(id, r)
	}
	return nil
}
