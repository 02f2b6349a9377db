package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"sluice/internal/config"
	"sluice/steering/ring"
	"sluice/tools/bench/figure"
)

// ringSize is how many rings of how many backends a gateway has.
type ringSize struct{ services, backends int }

var ringSizes = []string{"1x4", "1x100", "1x1000", "1x4096", "64x16", "512x8", "512x32"}

// movesGoal is by how much more entries may move than must.
const movesGoal = 1.6

func ringCommand() *cli.Command {
	return &cli.Command{
		Name:  "ring",
		Usage: "what rings cost to build and change, and how many entries a change moves; exit code 1 if over 1.6 x those it must",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "size", Value: cli.NewStringSlice(ringSizes...), Usage: "`SERVICESxBACKENDS`, up to 512x4096"},
		},
		Action: func(c *cli.Context) error {
			runs, err := rounds(c)
			if err != nil {
				return err
			}
			var sizes []ringSize
			for _, text := range c.StringSlice("size") {
				s, err := parseRingSize(text)
				if err != nil {
					return usageError{err}
				}
				sizes = append(sizes, s)
			}
			t, broken, err := benchRing(c.Context, sizes, runs)
			if err != nil {
				return err
			}
			return errors.Join(show(c, t, plot{figure: "cpu_ms"}), broken)
		},
	}
}

func parseRingSize(text string) (s ringSize, err error) {
	if _, err := fmt.Sscanf(text, "%dx%d", &s.services, &s.backends); err != nil {
		return s, fmt.Errorf("--size %q: write it like 512x8", text)
	}
	if s.services < 1 || s.services > config.MaxServices || s.backends < 2 || s.backends > config.MaxBackends {
		return s, fmt.Errorf("--size %q: 1 to %d services, 2 to %d backends", text, config.MaxServices, config.MaxBackends)
	}
	return s, nil
}

// change is what happens to a gateway's rings. The members after it are those
// of before with one weight changed.
type change struct {
	name       string
	from, to   uint32 // weight of the one
	everything bool   // the rings are built, not changed
}

// weight is that of every member that nothing happens to.
const weight = 2

var changes = []change{
	{"build", weight, weight, true},
	{"remove one", weight, 0, false},
	{"add one", 0, weight, false},
	{"halve a weight", weight, weight / 2, false},
	{"double a weight", weight, 2 * weight, false},
}

// ringCost is what one change of all of a gateway's rings cost.
type ringCost struct {
	cpu, wall   float64 // ms
	heap        float64 // MB that were allocated
	moved, must int     // entries of all rings
}

type ringSubject struct {
	ringSize
	change
}

// benchRing returns as broken which changes moved too much.
func benchRing(ctx context.Context, sizes []ringSize, runs int) (t figure.Table, broken, err error) {
	t = figure.Table{Name: "ring", Notes: []string{
		fmt.Sprintf("every service has all of the backends; a ring has %d entries of 4 bytes", ring.Entries),
		"cpu_ms: of all processors, for all rings of the gateway; wall_ms: until it was done; heap_mb: what was allocated; rings_mb: what they take in the dataplane",
		"moved: entries that name another backend afterwards; must: the fewest by which the backends' shares can become what they became",
	}}
	var subjects []ringSubject
	for _, c := range changes {
		for _, s := range sizes {
			subjects = append(subjects, ringSubject{s, c})
		}
	}
	costs, err := figure.Interleave(ctx, runs, len(subjects), func(i int) (ringCost, error) { return subjects[i].measure(ctx) })
	if err != nil {
		return t, nil, err
	}
	var failures []error
	for i, s := range subjects {
		t.Rows = append(t.Rows, s.row(costs[i]))
		for _, c := range costs[i] {
			if float64(c.moved) > movesGoal*float64(c.must) {
				failures = append(failures, fmt.Errorf("%s of %d backends moved %d entries, %d must", s.name, s.backends, c.moved, c.must))
			}
		}
	}
	return t, errors.Join(failures...), nil
}

// members of one service, with the one that changes in their middle.
func (s ringSubject) members(service int, one uint32) []ring.Member {
	list := make([]ring.Member, s.backends)
	for i := range list {
		addr := netip.AddrFrom4([4]byte{10, byte(service), byte(i >> 8), byte(i)})
		list[i] = ring.Member{ID: uint32(i + 1), Addr: netip.AddrPortFrom(addr, uint16(22+service>>8)), Weight: weight}
	}
	list[s.backends/2].Weight = one
	return list
}

// measure changes the rings of all services.
func (s ringSubject) measure(ctx context.Context) (c ringCost, err error) {
	key := ring.Key{1}
	for service := range s.services {
		if err := ctx.Err(); err != nil {
			return c, err
		}
		have, want := s.members(service, s.from), s.members(service, s.to)
		if s.everything {
			c.add(func() { ring.Build(key, want) })
			continue
		}
		entries := ring.Build(key, have)
		before := slices.Clone(entries)
		c.add(func() { ring.Update(key, have, entries, want) })
		moved, must := moves(before, entries)
		c.moved, c.must = c.moved+moved, c.must+must
	}
	return c, nil
}

// add runs fn and adds what it cost.
func (c *ringCost) add(fn func()) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, start := cpuTime(), time.Now()
	fn()
	c.wall += milliseconds(time.Since(start))
	c.cpu += milliseconds(cpuTime() - cpu)
	runtime.ReadMemStats(&after)
	c.heap += float64(after.TotalAlloc-before.TotalAlloc) / 1e6
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic("bench: no usage of resources: " + err.Error()) // every kernel tells
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// moves counts the entries that name another member, and how many that must be:
// those that members lost between them.
func moves(before, after []uint32) (moved, must int) {
	lost := make(map[uint32]int)
	for i := range before {
		if before[i] != after[i] {
			moved++
		}
		lost[before[i]]++
		lost[after[i]]--
	}
	for _, n := range lost {
		must += max(n, 0)
	}
	return moved, must
}

func (s ringSubject) row(costs []ringCost) figure.Row {
	each := func(name, unit string, of func(ringCost) float64) figure.Figure {
		return figure.Figure{Name: name, Unit: unit, Samples: figure.Each(costs, of)}
	}
	row := figure.Row{
		Varied: []figure.Cell{{Name: "change", Value: s.name}, {Name: "services", Value: s.services}, {Name: "backends", Value: s.backends}},
		Figures: []figure.Figure{
			each("cpu_ms", "ms", func(c ringCost) float64 { return c.cpu }),
			each("wall_ms", "ms", func(c ringCost) float64 { return c.wall }),
			each("heap_mb", "MB", func(c ringCost) float64 { return c.heap }),
		},
	}
	if s.everything {
		row.Figures = append(row.Figures,
			each("rings_mb", "MB", func(ringCost) float64 { return float64(s.services*ring.Entries*4) / 1e6 }))
	} else {
		row.Figures = append(row.Figures,
			each("moved", "", func(c ringCost) float64 { return float64(c.moved) }),
			each("must", "", func(c ringCost) float64 { return float64(c.must) }),
			each("moved_per_must", "x", func(c ringCost) float64 { return float64(c.moved) / float64(c.must) }))
	}
	return row
}
