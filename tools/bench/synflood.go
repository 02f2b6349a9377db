package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"sluice/internal/nettest/frame"
	"sluice/tools/bench/figure"
	"sluice/tools/bench/traffic"
)

// floodOptions are what the command line of "bench synflood" chooses.
type floodOptions struct {
	crowd  int
	mode   string
	lasts  time.Duration
	rounds int
}

func synfloodCommand() *cli.Command {
	return &cli.Command{
		Name:  "synflood",
		Usage: "what three kinds of SYN flood do to established flows and to a login",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "flows", Value: 10_000, Usage: "`N` established flows"},
			&cli.StringFlag{Name: "mode", Usage: "flood only `MODE`, nat hide or dsr"},
			&cli.DurationFlag{Name: "lasts", Value: 5 * time.Second, Usage: "`TIME` each flood lasts"},
		},
		Action: func(c *cli.Context) (err error) {
			o := floodOptions{crowd: c.Int("flows"), mode: c.String("mode"), lasts: c.Duration("lasts")}
			if o.rounds, err = rounds(c); err != nil {
				return err
			}
			if o.crowd < 1 || o.crowd > 1<<20 || o.lasts <= 0 {
				return usageError{fmt.Errorf("--flows %d --lasts %s: 1 to %d flows, and some time", o.crowd, o.lasts, 1<<20)}
			}
			if o.mode != "" && o.mode != "dsr" && o.mode != "nat hide" {
				return usageError{fmt.Errorf("--mode %q: choose dsr or \"nat hide\"", o.mode)}
			}
			t, err := benchSynflood(c.Context, o)
			if err != nil {
				return err
			}
			return show(c, t, plot{"login_s", 5})
		},
	}
}

// flood is a kind of flood.
type flood struct {
	name  string
	flows int  // 2^PORTS_BITS of each source
	pairs bool // each SYN is followed by the ACK of whoever knows no number
}

var floods = []flood{
	{"few sources", 256, false},
	{"random sources", 1 << 24, false},
	{"forged pairs", 1 << 24, true},
}

// siege is a gateway as it is attacked.
type siege struct {
	mode      string
	challenge bool
}

var sieges = []siege{{"nat hide", false}, {"nat hide", true}, {"dsr", false}, {"dsr", true}}

// loginPatience is when a login counts as failed.
const loginPatience = 30 * time.Second

// blow is what one flood did.
type blow struct {
	mpps          float64
	before, after state
	during        state
	login         float64
}

func benchSynflood(ctx context.Context, o floodOptions) (figure.Table, error) {
	t := figure.Table{Name: "synflood", Notes: []string{
		"the flood comes by its own interface as fast as the generator sends, to the service that is logged in to; client and server share the machine with it",
		fmt.Sprintf("login_s: a login with OpenSSH, begun while the flood lasts; %v is a failure", loginPatience.Seconds()),
		"lost: flows established before that have no entry after; entries: of everybody, while the flood lasts; memory_mb: of all maps, before and after",
	}}
	for _, s := range sieges {
		if o.mode != "" && s.mode != o.mode {
			continue
		}
		rows, err := s.rows(ctx, o)
		if err != nil {
			return t, err
		}
		t.Rows = append(t.Rows, rows...)
	}
	return t, nil
}

func (s siege) rows(ctx context.Context, o floodOptions) (rows []figure.Row, err error) {
	b, err := besiege(ctx, s.mode, o.crowd, s.challenge)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	blows, err := figure.Interleave(ctx, o.rounds, len(floods), func(i int) (blow, error) {
		return b.suffer(ctx, floods[i], o.lasts)
	})
	if err != nil {
		return nil, err
	}
	for i, f := range floods {
		rows = append(rows, s.row(f, blows[i]))
	}
	return rows, nil
}

func (s siege) row(f flood, blows []blow) figure.Row {
	guard := guardEmpty
	if s.challenge {
		guard = "challenge"
	}
	each := func(name, unit string, of func(blow) float64) figure.Figure {
		return figure.Figure{Name: name, Unit: unit, Samples: figure.Each(blows, of)}
	}
	return figure.Row{
		Varied: []figure.Cell{{Name: "mode", Value: s.mode}, {Name: "flood", Value: f.name}, {Name: "guard", Value: guard}},
		Figures: []figure.Figure{
			each("mpps", "M/s", func(b blow) float64 { return b.mpps }),
			each("flows", "", func(b blow) float64 { return float64(b.before.flows) }),
			each("lost", "", func(b blow) float64 { return float64(b.before.flows - b.after.flows) }),
			each("login_s", "s", func(b blow) float64 { return b.login }),
			each("entries", "", func(b blow) float64 { return float64(b.during.all) }),
			each("memory_mb_before", "MB", func(b blow) float64 { return b.before.memory }),
			each("memory_mb_after", "MB", func(b blow) float64 { return b.after.memory }),
		},
	}
}

// suffer floods for a time and logs in meanwhile.
func (b *besieged) suffer(ctx context.Context, f flood, lasts time.Duration) (out blow, err error) {
	if out.before, err = b.look(ctx); err != nil {
		return out, err
	}
	flooded, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	sent, start := 0, time.Now()
	group.Go(func() (err error) {
		sent, err = b.pour(flooded, f)
		return err
	})
	group.Go(func() (err error) {
		defer stop()
		if err := pause(ctx, lasts/4); err != nil {
			return err
		}
		out.login = b.login(ctx)
		if err := pause(ctx, lasts-time.Since(start)); err != nil {
			return err
		}
		out.during, err = b.look(ctx)
		return err
	})
	if err := group.Wait(); err != nil {
		return out, err
	}
	out.mpps = float64(sent) / time.Since(start).Seconds() / 1e6
	out.after, err = b.look(ctx)
	return out, err
}

// login returns how long one took.
func (b *besieged) login(ctx context.Context) float64 {
	ctx, cancel := context.WithTimeout(ctx, loginPatience)
	defer cancel()
	start := time.Now()
	if _, err := b.ssh.Run(ctx, loginAddr, "true"); err != nil {
		return loginPatience.Seconds()
	}
	return time.Since(start).Seconds()
}

// gush is how many frames are sent between two looks at the clock, and of one
// kind where SYN and ACK alternate.
const gush = 20_000

// pour sends the flood until ctx ends, and returns how many frames it were.
func (b *besieged) pour(ctx context.Context, f flood) (sent int, err error) {
	var kinds []*traffic.Stream
	flags := []frame.Flags{frame.SYN}
	if f.pairs {
		flags = append(flags, frame.ACK)
	}
	for _, flag := range flags {
		s, err := b.flood.stream(shape{Flows: f.flows, Services: 1}, flag, func(o *traffic.StreamOptions) {
			o.Frame.Dst = netip.AddrPortFrom(vip, loginPort)
			o.Random = true
		})
		if err != nil {
			return sent, err
		}
		kinds = append(kinds, s)
	}
	// Streams of one beginning visit the same flows.
	for ctx.Err() == nil {
		for _, s := range kinds {
			if err := b.flood.send(s, gush); err != nil {
				return sent, err
			}
			sent += gush
		}
	}
	return sent, nil
}
