package main

import (
	"context"
	"fmt"
	"time"

	"github.com/cilium/ebpf"

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
		"ring_in_doubt: share of ring entries whose packets look their flow up although the mode need not; guard: what it has to look at",
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
	doubt, err := g.doubt()
	return []figure.Cell{
		{Name: "entries", Value: entries}, {Name: "ring_in_doubt", Value: fmt.Sprintf("%.3f", doubt)},
	}, err
}

// ringMember is RING_MEMBER_MASK of bpf/shared.h: what is above it are marks.
const ringMember = 0x00ffffff

// doubt is the share of ring entries with a mark.
func (g *gateway) doubt() (float64, error) {
	marked := 0
	for id := range g.Services {
		ring, err := ebpf.LoadPinnedMap(fmt.Sprintf("%s/v1/rings/%d", g.pins(), id), &ebpf.LoadPinOptions{ReadOnly: true})
		if err != nil {
			return 0, fmt.Errorf("read ring: %v", err)
		}
		var element uint32
		var words [2]uint32
		entries := ring.Iterate()
		for entries.Next(&element, &words) {
			for _, w := range words {
				if w&^ringMember != 0 {
					marked++
				}
			}
		}
		ring.Close()
		if err := entries.Err(); err != nil {
			return 0, fmt.Errorf("read ring: %v", err)
		}
	}
	return float64(marked) / float64(loader.RingEntries*g.Services), nil
}

// prove has every flow send data when it is old enough to be believed, so that
// it is established for good.
func prove(ctx context.Context, gateways []*gateway) error {
	for range 2 {
		for _, g := range gateways {
			err := g.sendAll(frame.ACK|frame.PSH, func(o *traffic.StreamOptions) {
				o.Frame.Payload = []byte("0123456789")
				o.Answers = g.service.Mode == loader.ModeNAT
			})
			if err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(3 * tick):
		}
	}
	return nil
}
