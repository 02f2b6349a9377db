package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"sluice/internal/nettest"
	"sluice/tools/bench/figure"
)

// failoverOptions are what the command line chooses.
type failoverOptions struct {
	intervals   []time.Duration
	faults      []fault
	contenders  []contender
	connections int
}

func failoverCommand() *cli.Command {
	return &cli.Command{
		Name:  "failover",
		Usage: "for how long a VIP is silent when its gateway goes, next to keepalived",
		Description: "A client sends echo requests to the VIP while the active gateway of two is stopped, killed, " +
			"powered off or cut off. The blackout is the longest time without an answer.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "intervals", Value: "1s,100ms,50ms", Usage: "advert `intervals`"},
			&cli.StringFlag{Name: "cases", Value: strings.Join(names(faults, faultName), ","), Usage: "`faults`"},
			&cli.StringFlag{Name: "contenders", Usage: "`names`, all of: " + strings.Join(names(all(""), contender.name), ", ") + " (default: all that are installed)"},
			&cli.IntFlag{Name: "connections", Value: 20, Usage: "`N` SSH connections, a quarter of a second old, that the fault finds; half of them move data"},
			&cli.StringFlag{Name: "sluice", Value: "bin/sluice", Usage: "`path` of the sluice program"},
		},
		Action: func(c *cli.Context) error {
			n, err := rounds(c)
			if err != nil {
				return err
			}
			o, err := parseFailover(c)
			if err != nil {
				return usageError{err}
			}
			t, err := failover(c.Context, o, n)
			if err != nil {
				return err
			}
			return show(c, t, plot{figure: "blackout_ms"})
		},
	}
}

func faultName(f fault) string { return f.name }

func names[T any](list []T, name func(T) string) []string {
	var out []string
	for _, x := range list {
		out = append(out, name(x))
	}
	return out
}

// chosen are those of a list that a comma-separated flag names.
func chosen[T any](flag, value string, list []T, name func(T) string) ([]T, error) {
	var out []T
	for _, word := range strings.Split(value, ",") {
		i := slices.Index(names(list, name), strings.TrimSpace(word))
		if i < 0 {
			return nil, fmt.Errorf("--%s %q: choose of %s", flag, word, strings.Join(names(list, name), ", "))
		}
		out = append(out, list[i])
	}
	return out, nil
}

func parseFailover(c *cli.Context) (o failoverOptions, err error) {
	for _, word := range strings.Split(c.String("intervals"), ",") {
		d, err := time.ParseDuration(strings.TrimSpace(word))
		if err != nil || d < 10*time.Millisecond || d > 40*time.Second || d%(10*time.Millisecond) != 0 {
			return o, fmt.Errorf("--intervals %q: choose 10ms to 40s, multiples of 10ms", word)
		}
		o.intervals = append(o.intervals, d)
	}
	if o.faults, err = chosen("cases", c.String("cases"), faults, faultName); err != nil {
		return o, err
	}
	if o.connections = c.Int("connections"); o.connections < 2 || o.connections > 1000 {
		return o, fmt.Errorf("--connections %d: choose 2 to 1000", o.connections)
	}
	program, err := filepath.Abs(c.String("sluice"))
	if err != nil {
		return o, err
	}
	o.contenders = all(program)
	if c.String("contenders") != "" {
		o.contenders, err = chosen("contenders", c.String("contenders"), o.contenders, contender.name)
	}
	return o, err
}

// installed refuses a contender that cannot run, before an hour has gone.
func (o failoverOptions) installed() error {
	for _, c := range o.contenders {
		for _, program := range c.needs() {
			if _, err := nettest.FindProgram(program); err != nil {
				return fmt.Errorf("%s: %v; --contenders leaves it out", c.name(), err)
			}
		}
	}
	return nil
}

// failover measures every fault at every interval with every contender, in
// interleaved rounds.
func failover(ctx context.Context, o failoverOptions, n int) (figure.Table, error) {
	if err := o.installed(); err != nil {
		return figure.Table{}, err
	}
	s, err := openSite()
	if err != nil {
		return figure.Table{}, err
	}
	defer s.close()
	var subjects []trial
	for _, interval := range o.intervals {
		for _, f := range o.faults {
			for _, c := range o.contenders {
				subjects = append(subjects, trial{contender: c, fault: f, interval: interval})
			}
		}
	}
	number := 0
	samples, err := figure.Interleave(ctx, n, len(subjects), func(subject int) (outcome, error) {
		number++
		t := subjects[subject] // a copy: each trial is new
		return t.run(ctx, folder(s, number), o.connections)
	})
	if err != nil {
		return figure.Table{}, err
	}
	return tableFailover(subjects, samples, o.connections), nil
}
