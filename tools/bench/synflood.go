package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"sluice/internal/nettest/frame"
	"sluice/tools/bench/figure"
	"sluice/tools/bench/traffic"
)

// floodOptions are what the command line of "bench synflood" chooses.
type floodOptions struct {
	crowd  int
	modes  []string
	rounds int
	lasts  time.Duration
	// unchallenged adds gateways that challenge nobody.
	unchallenged bool
	// login is how long one may take.
	login time.Duration
	// young is how long a flow of dsr needs to prove itself.
	young time.Duration
}

// besiegedModes are one that sees both directions of a flow, with the most to
// keep of it, and one that sees one.
var besiegedModes = []string{"nat proxy_v2", "dsr"}

func synfloodCommand() *cli.Command {
	return &cli.Command{
		Name:  "synflood",
		Usage: "what three kinds of SYN flood do to established flows and to a login; exit code 1 if more than they may",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "flows", Value: 10_000, Usage: "`N` established flows"},
			&cli.StringSliceFlag{Name: "mode", Value: cli.NewStringSlice(besiegedModes...), Usage: "`MODE`, any of xdp's with nat or dsr"},
			&cli.DurationFlag{Name: "lasts", Value: 5 * time.Second, Usage: "`TIME` each flood lasts"},
			&cli.DurationFlag{Name: "login-within", Value: 5 * time.Second, Usage: "`TIME` a login may take"},
			&cli.BoolFlag{Name: "unchallenged", Usage: "also with guard.challenge: off, where logins and entries are not promised anything"},
			&cli.DurationFlag{Name: "young", Value: 10 * time.Second, Usage: "`TIME` after which a flow of dsr is proven"},
		},
		Action: func(c *cli.Context) error {
			o, err := readFloodOptions(c)
			if err != nil {
				return err
			}
			t, broken, err := benchSynflood(c.Context, o)
			if err != nil {
				return err
			}
			return errors.Join(show(c, t, plot{"login_s", o.login.Seconds()}), broken)
		},
	}
}

func readFloodOptions(c *cli.Context) (o floodOptions, err error) {
	o = floodOptions{
		crowd: c.Int("flows"), modes: c.StringSlice("mode"), lasts: c.Duration("lasts"),
		login: c.Duration("login-within"), unchallenged: c.Bool("unchallenged"), young: c.Duration("young"),
	}
	if o.rounds, err = rounds(c); err != nil {
		return o, err
	}
	if most := mostConns(); o.crowd < 1 || o.crowd > most {
		return o, usageError{fmt.Errorf("--flows %d: 1 to %d, of the files and ports of one client", o.crowd, most)}
	}
	if o.lasts <= 0 || o.login <= 0 || o.young <= 0 {
		return o, usageError{fmt.Errorf("--lasts %s --login-within %s --young %s: each some time", o.lasts, o.login, o.young)}
	}
	for _, mode := range o.modes {
		if s, ok := modes[mode]; !ok || s.Mode.OneWay() && mode != "dsr" {
			return o, usageError{fmt.Errorf("--mode %q: choose dsr or a nat mode", mode)}
		}
	}
	return o, nil
}

// mostConns is how many connections one client can have open: of 28 232
// ephemeral ports, and less than the files of a process.
func mostConns() int {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return 1
	}
	return int(min(files.Max, 28_000)) - 500
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

// loginPatience is when a login has failed.
const loginPatience = 30 * time.Second

// blow is what one flood did.
type blow struct {
	sent                  int     // frames
	lasted                float64 // s
	before, during, after state
	lost                  int
	login                 float64
}

// promise is what must hold of every blow.
type promise struct {
	name string
	// challenged is promised only where unknown sources are challenged.
	challenged bool
	holds      func(b blow, o floodOptions) bool
}

// A handshake that begins before pressure is felt may leave an entry, in modes
// that see one side of it. Tables of one size for ever do not grow at all.
const (
	entriesGrowth = 1000
	memoryGrowth  = 1.01
)

var promises = []promise{
	{"none lost", false, func(b blow, _ floodOptions) bool { return b.lost == 0 }},
	{"none evicted", false, func(b blow, _ floodOptions) bool {
		return b.before.without(b.during) == 0 && b.before.without(b.after) == 0
	}},
	{"memory flat", false, func(b blow, _ floodOptions) bool {
		return max(b.during.memory, b.after.memory) <= memoryGrowth*b.before.memory
	}},
	{"entries flat", true, func(b blow, _ floodOptions) bool {
		return max(b.during.entries, b.after.entries) <= b.before.entries+entriesGrowth
	}},
	{"login in time", true, func(b blow, o floodOptions) bool { return b.login <= o.login.Seconds() }},
}

// broken names the promises that a blow does not keep.
func (s siege) broken(b blow, o floodOptions) (names []string) {
	for _, p := range promises {
		if (s.challenge || !p.challenged) && !p.holds(b, o) {
			names = append(names, p.name)
		}
	}
	return names
}

// benchSynflood returns as broken what must not be, by name.
func benchSynflood(ctx context.Context, o floodOptions) (t figure.Table, broken, err error) {
	t = figure.Table{Name: "synflood", Notes: []string{
		"the flood comes by its own interface as fast as the generator sends, to the services of the flows and of the login; clients and servers share the machine with it",
		"mpps: frames that arrived; arrived: their share of those sent; lost: flows that give no answer after it; evicted: those that have no entry during or after it",
		fmt.Sprintf("login_s: a login with OpenSSH by somebody who was never seen, begun while the flood lasts; %v is a failure", loginPatience.Seconds()),
		"entries: of everybody; memory_mb: of all maps; holds: whether all is as promised",
	}}
	var failures []error
	for _, mode := range o.modes {
		for _, challenge := range []bool{true, false} {
			if !challenge && !o.unchallenged {
				continue
			}
			s := siege{mode, challenge}
			blows, err := s.suffer(ctx, o)
			if err != nil {
				return t, nil, err
			}
			for i, f := range floods {
				row, failed := s.row(f, blows[i], o)
				t.Rows = append(t.Rows, row)
				failures = append(failures, failed)
			}
		}
	}
	return t, errors.Join(failures...), nil
}

// suffer has a new gateway suffer each flood.
func (s siege) suffer(ctx context.Context, o floodOptions) (blows [][]blow, err error) {
	b, err := besiege(ctx, s, o)
	if err != nil {
		return nil, fmt.Errorf("besiege %s: %v", s.mode, err)
	}
	defer func() { err = errors.Join(err, b.close()) }()
	return figure.Interleave(ctx, o.rounds, len(floods), func(i int) (blow, error) {
		return b.suffer(ctx, floods[i], o)
	})
}

// row returns the row of a flood, and an error where a promise is broken.
func (s siege) row(f flood, blows []blow, o floodOptions) (figure.Row, error) {
	guard := guardEmpty
	if s.challenge {
		guard = "challenge"
	}
	var broken []string
	for _, b := range blows {
		broken = append(broken, s.broken(b, o)...)
	}
	slices.Sort(broken)
	broken = slices.Compact(broken)
	each := func(name, unit string, of func(blow) float64) figure.Figure {
		return figure.Figure{Name: name, Unit: unit, Samples: figure.Each(blows, of)}
	}
	row := figure.Row{
		Varied: []figure.Cell{{Name: "mode", Value: s.mode}, {Name: "flood", Value: f.name}, {Name: "guard", Value: guard}},
		Facts:  []figure.Cell{{Name: "holds", Value: len(broken) == 0}},
		Figures: []figure.Figure{
			each("mpps", "M/s", func(b blow) float64 {
				return float64(b.during.received-b.before.received) / b.lasted / 1e6
			}),
			each("arrived", "", func(b blow) float64 {
				return float64(b.after.received-b.before.received) / float64(b.sent)
			}),
			each("flows", "", func(b blow) float64 { return float64(len(b.before.crowd)) }),
			each("lost", "", func(b blow) float64 { return float64(b.lost) }),
			each("evicted", "", func(b blow) float64 { return float64(max(b.before.without(b.during), b.before.without(b.after))) }),
			each("login_s", "s", func(b blow) float64 { return b.login }),
			each("entries_before", "", func(b blow) float64 { return float64(b.before.entries) }),
			each("entries_during", "", func(b blow) float64 { return float64(b.during.entries) }),
			each("entries_after", "", func(b blow) float64 { return float64(b.after.entries) }),
			each("memory_mb_before", "MB", func(b blow) float64 { return b.before.memory }),
			each("memory_mb_after", "MB", func(b blow) float64 { return b.after.memory }),
		},
	}
	if len(broken) > 0 {
		return row, fmt.Errorf("%s under %s: not %s", s.mode, f.name, strings.Join(broken, ", not "))
	}
	return row, nil
}

// suffer floods for a time and logs in meanwhile.
func (b *besieged) suffer(ctx context.Context, f flood, o floodOptions) (out blow, err error) {
	if out.before, err = b.look(ctx); err != nil {
		return out, err
	}
	flooded, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	start := time.Now()
	group.Go(func() (err error) {
		out.sent, err = b.pour(flooded, f)
		return err
	})
	group.Go(func() (err error) {
		defer stop()
		if err := pause(ctx, o.lasts/4); err != nil {
			return err
		}
		if out.login, err = b.login(ctx); err != nil {
			return err
		}
		if err := pause(ctx, o.lasts-time.Since(start)); err != nil {
			return err
		}
		out.during, err = b.look(ctx)
		out.lasted = time.Since(start).Seconds()
		return err
	})
	if err := group.Wait(); err != nil {
		return out, err
	}
	out.lost = b.lost()
	out.after, err = b.look(ctx)
	return out, err
}

// login has somebody log in whom the gateway has never seen, and returns how long
// that took.
func (b *besieged) login(ctx context.Context) (float64, error) {
	b.stranger = b.stranger.Next()
	if err := b.client.AddAddr("lo", netip.PrefixFrom(b.stranger, 32)); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, loginPatience)
	defer cancel()
	start := time.Now()
	if b.ssh.SSH(ctx, loginAddr, "-b", b.stranger.String(), "true").Run() != nil {
		return loginPatience.Seconds(), nil
	}
	return time.Since(start).Seconds(), nil
}

// gush is how many frames are sent between two looks at the clock, and of one
// kind where SYN and ACK alternate.
const gush = 20_000

// pour sends the flood to both services until ctx ends, and returns how many
// frames it were.
func (b *besieged) pour(ctx context.Context, f flood) (sent int, err error) {
	var kinds []*traffic.Stream
	flags := []frame.Flags{frame.SYN}
	if f.pairs {
		flags = append(flags, frame.ACK)
	}
	for _, flag := range flags {
		s, err := b.gateway.lane.stream(shape{Flows: f.flows, Services: 2}, flag, func(o *traffic.StreamOptions) {
			o.Frame.Dst = loginAddr
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
			if err := b.gateway.send(s, gush); err != nil {
				return sent, err
			}
			sent += gush
		}
	}
	return sent, nil
}
