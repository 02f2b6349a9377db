package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"sluice/internal/nettest/frame"
	"sluice/tools/bench/figure"
	"sluice/tools/bench/traffic"
)

// xdpOptions are what the command line of "bench xdp" chooses.
type xdpOptions struct {
	modes  []string
	flows  []int
	guards []string
	growth bool
	noSYN  bool
	both   bool
	frames int // of one sample
	rounds int
}

func xdpCommand() *cli.Command {
	return &cli.Command{
		Name:  "xdp",
		Usage: "nanoseconds a packet by mode and number of flows, in units of a floor program",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "mode", Usage: "measure only `MODE`, such as dsr or \"nat hide\""},
			&cli.IntSliceFlag{Name: "flows", Value: cli.NewIntSlice(1_000, 65_536, 1_000_000), Usage: "`NUMBERS` of flows"},
			&cli.BoolFlag{Name: "always-look-up", Usage: "measure modes that need not ask the flow table also when they do"},
			&cli.BoolFlag{Name: "no-syn", Usage: "leave the SYN path out"},
			&cli.BoolFlag{Name: "growth", Usage: "vary backends and services instead, at the first number of flows"},
			&cli.StringSliceFlag{Name: "guard", Value: cli.NewStringSlice(guardEmpty), Usage: "`STATE` of the guard: empty, or on with 1 000 prefixes and 10 000 bans"},
			&cli.IntFlag{Name: "frames", Value: 300_000, Usage: "`N` frames a sample"},
		},
		Action: func(c *cli.Context) error {
			o, err := parseXDP(c)
			if err != nil {
				return err
			}
			t, err := benchXDP(c.Context, o)
			if err != nil {
				return err
			}
			return show(c, t, plot{"per_floor", 2.5})
		},
	}
}

func parseXDP(c *cli.Context) (o xdpOptions, err error) {
	if o.rounds, err = rounds(c); err != nil {
		return o, err
	}
	o.modes, o.flows = c.StringSlice("mode"), c.IntSlice("flows")
	o.guards, o.growth, o.frames = c.StringSlice("guard"), c.Bool("growth"), c.Int("frames")
	o.noSYN, o.both = c.Bool("no-syn"), c.Bool("always-look-up")
	for _, g := range o.guards {
		if g != guardEmpty && g != guardOn {
			return o, usageError{fmt.Errorf("--guard %q: choose %s or %s", g, guardEmpty, guardOn)}
		}
	}
	for _, m := range o.modes {
		if _, ok := modes[m]; !ok {
			return o, usageError{fmt.Errorf("--mode %q: choose one of %q", m, modeNames)}
		}
	}
	if len(o.modes) == 0 {
		o.modes = modeNames
	}
	for _, n := range o.flows {
		if n < 1 || n > 1<<20 {
			return o, usageError{fmt.Errorf("--flows %d: 1 to %d", n, 1<<20)}
		}
	}
	if o.frames < 1 {
		return o, usageError{fmt.Errorf("--frames %d: at least 1", o.frames)}
	}
	return o, nil
}

// subject is one thing that is measured: a lane and what is sent to it.
type subject struct {
	lane   *lane
	touch  func(context.Context) error // has all of its tables at hand, nil without any
	stream *traffic.Stream
	varied []figure.Cell
	facts  []figure.Cell
	floor  int // index of the subject it is measured in units of
}

// emptySubject is always the first.
const emptySubject = 0

// benchXDP builds everything, measures and takes it down.
func benchXDP(ctx context.Context, o xdpOptions) (t figure.Table, err error) {
	r, err := newRig()
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	subjects, err := xdpSubjects(ctx, r, o)
	if err != nil {
		return t, err
	}
	live, fed, err := measureXDP(ctx, o, subjects)
	if err != nil {
		return t, err
	}
	t = tableXDP(subjects, live, fed)
	idle, warm, err := touchIdle(ctx)
	t.Notes = append(t.Notes, fmt.Sprintf("a page of memory that was idle for %s took %s to touch, and %s again: tables are touched before they are measured",
		idlePages, idle, warm))
	return t, err
}

// measureXDP takes both kinds of samples. The kernel's statistics are on for
// the live ones alone: they would cost the others, too.
func measureXDP(ctx context.Context, o xdpOptions, subjects []subject) (live, fed [][]float64, err error) {
	stats, err := traffic.CountRuns()
	if err != nil {
		return nil, nil, err
	}
	live, err = figure.Interleave(ctx, o.rounds, len(subjects), func(i int) (float64, error) {
		return subjects[i].live(ctx, o.frames)
	})
	if err = errors.Join(err, stats.Close()); err != nil {
		return nil, nil, err
	}
	fed, err = figure.Interleave(ctx, o.rounds, len(subjects), func(i int) (float64, error) {
		if _, err := subjects[i].lane.feed(subjects[i].stream, o.frames); err != nil {
			return 0, err
		}
		return subjects[i].lane.feed(subjects[i].stream, o.frames)
	})
	return live, fed, err
}

// live sends frames through the driver and reads what the program took. As many
// go before, and all tables are touched: what a subject has not used while others
// had their turn is far away, on a virtual machine microseconds where the host
// has taken its page.
func (s subject) live(ctx context.Context, frames int) (float64, error) {
	if s.touch != nil {
		if err := s.touch(ctx); err != nil {
			return 0, err
		}
	}
	if err := s.lane.send(s.stream, frames); err != nil {
		return 0, err
	}
	m, err := traffic.NewMeter(s.lane.prog)
	if err != nil {
		return 0, err
	}
	if err := s.lane.send(s.stream, frames); err != nil {
		return 0, err
	}
	ns, runs, err := m.Read()
	if err != nil {
		return 0, err
	}
	if runs < frames/2 {
		return 0, fmt.Errorf("measure lane %d: of %d frames %d arrived", s.lane.number, frames, runs)
	}
	return ns, nil
}

// xdpSubjects makes the lanes and their flows: the empty program, the floor for
// each number of flows, and every mode for each.
func xdpSubjects(ctx context.Context, r *rig, o xdpOptions) ([]subject, error) {
	shapes := xdpShapes(o)
	subjects, floors, err := references(r, shapes)
	if err != nil {
		return nil, err
	}
	var gateways []*gateway
	for _, s := range shapes {
		g, err := r.gateway(s)
		if err != nil {
			return nil, err
		}
		if err := g.establish(ctx); err != nil {
			return nil, err
		}
		gateways = append(gateways, g)
	}
	if err := prove(ctx, gateways); err != nil {
		return nil, err
	}
	for _, g := range gateways {
		s, err := g.subject(ctx, floors[g.Flows])
		if err != nil {
			return nil, err
		}
		subjects = append(subjects, s)
	}
	if o.growth || o.noSYN {
		return subjects, nil
	}
	syns, err := synSubjects(r, o, floors[shapes[0].Flows])
	return append(subjects, syns...), err
}

// references are the subjects that others are measured in units of, and the
// floors' places by number of flows.
func references(r *rig, shapes []shape) ([]subject, map[int]int, error) {
	empty, err := r.lane()
	if err != nil {
		return nil, nil, err
	}
	floor, err := r.lane()
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(empty.carry(r.programs.Empty()), floor.carry(r.programs.Floor())); err != nil {
		return nil, nil, err
	}
	s, err := empty.data(shapes[0])
	if err != nil {
		return nil, nil, err
	}
	subjects := []subject{{lane: empty, stream: s, varied: varied("empty", "data", shapes[0])}}
	floors := make(map[int]int)
	for _, shape := range shapes {
		if _, ok := floors[shape.Flows]; ok {
			continue
		}
		s, err := floor.data(shape)
		if err != nil {
			return nil, nil, err
		}
		floors[shape.Flows] = len(subjects)
		at := shape
		at.Backends, at.Services, at.Guard = 0, 0, "-"
		subjects = append(subjects, subject{
			lane: floor, stream: s, varied: varied("floor", "data", at), floor: len(subjects),
		})
	}
	return subjects, floors, nil
}

// modeNames in the order they are shown.
var modeNames = []string{"dsr", "ipip", "gue", "nat hide", "nat keep", "nat proxy_v2"}

// Backends of a service where nothing else is said.
const usualBackends = 100

// growth is how backends a service and services are varied.
var growth = []struct{ backends, services int }{{1, 1}, {100, 1}, {4096, 1}, {16, 16}, {16, 512}}

// xdpShapes are the dataplanes to measure.
func xdpShapes(o xdpOptions) []shape {
	var shapes []shape
	for _, mode := range o.modes {
		for _, guard := range o.guards {
			if o.growth {
				for _, g := range growth {
					shapes = append(shapes, shape{mode, o.flows[0], g.backends, g.services, guard, false})
				}
				continue
			}
			for _, n := range o.flows {
				s := shape{mode, n, usualBackends, 1, guard, false}
				shapes = append(shapes, s)
				if s.AlwaysLookUp = true; o.both && modes[mode].Mode.OneWay() {
					shapes = append(shapes, s)
				}
			}
		}
	}
	return shapes
}

func varied(what, path string, s shape) []figure.Cell {
	return []figure.Cell{
		{Name: "mode", Value: what}, {Name: "packets", Value: path}, {Name: "flows", Value: s.Flows},
		{Name: "backends", Value: s.Backends}, {Name: "services", Value: s.Services}, {Name: "guard", Value: s.Guard},
		{Name: "look_up", Value: s.lookUp(what)},
	}
}

// lookUp says when packets of established flows ask the flow table.
func (s shape) lookUp(mode string) string {
	m, ok := modes[mode]
	switch {
	case !ok:
		return "never"
	case m.Mode.OneWay() && !s.AlwaysLookUp:
		return "in doubt"
	default:
		return "always"
	}
}

func (g *gateway) subject(ctx context.Context, floor int) (subject, error) {
	s := subject{lane: g.lane, touch: g.touch, varied: varied(g.Mode, "data", g.shape), floor: floor}
	var err error
	if s.stream, err = g.data(g.shape); err != nil {
		return s, err
	}
	s.facts, err = g.facts(ctx)
	return s, err
}

// synSubjects have each mode take SYNs of clients it has not seen before.
func synSubjects(r *rig, o xdpOptions, floor int) ([]subject, error) {
	var out []subject
	for _, mode := range o.modes {
		g, err := r.gateway(shape{mode, synClients, usualBackends, 1, o.guards[0], false})
		if err != nil {
			return nil, err
		}
		s, err := g.stream(frame.SYN, func(t *traffic.StreamOptions) { t.Random = true })
		if err != nil {
			return nil, err
		}
		at := g.shape
		at.Flows = 0
		out = append(out, subject{lane: g.lane, stream: s, varied: varied(mode, "syn", at), floor: floor})
	}
	return out, nil
}

// synClients is how many SYNs come before one is repeated: more than a table of
// handshakes holds.
const synClients = 1 << 20
