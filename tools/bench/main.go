// Command bench measures what Sluice costs, next to what it is compared with,
// in one run on one machine: every figure is the median of interleaved rounds,
// and ratios are taken within a round.
//
// It needs root and works in network namespaces of its own, which are gone when
// it ends, by itself or by Ctrl-C.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"sluice/tools/bench/figure"
)

func main() { os.Exit(run(os.Args, os.Stdout, os.Stderr)) }

// run is the program: exit code 0, 1 for what failed, 2 for what was not
// understood.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := app(stdout, stderr).RunContext(ctx, args)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 2
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "bench: interrupted")
		return 1
	default:
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 1
	}
}

// usageError is what was not understood.
type usageError struct{ error }

func app(stdout, stderr io.Writer) *cli.App {
	misused := func(_ *cli.Context, err error, _ bool) error { return usageError{err} }
	a := &cli.App{
		Name:            "bench",
		Usage:           "measure what Sluice costs next to what it is compared with",
		Writer:          stdout,
		ErrWriter:       stderr,
		HideHelpCommand: true,
		OnUsageError:    misused,
		ExitErrHandler:  func(*cli.Context, error) {},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usageError{fmt.Errorf("no benchmark %q; \"bench --help\" lists them", c.Args().First())}
			}
			return cli.ShowAppHelp(c)
		},
		Commands: []*cli.Command{xdpCommand(), proxyCommand(), ringCommand(), synfloodCommand(), failoverCommand(), backendCommand()},
	}
	for _, c := range a.Commands {
		c.Flags = append(outputFlags(), c.Flags...)
		c.OnUsageError = misused
		c.HideHelpCommand = true
	}
	return a
}

// outputFlags are what every benchmark takes.
func outputFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "runs", Value: 5, Usage: "`N` interleaved rounds, of which the median is taken"},
		&cli.BoolFlag{Name: "json", Usage: `print {"rows": [...]}`},
		&cli.BoolFlag{Name: "benchstat", Usage: "print every sample for benchstat"},
		&cli.StringFlag{Name: "svg", Usage: "draw the plot to `FILE`"},
	}
}

// plot is what the plot of a benchmark shows.
type plot struct {
	figure string
	goal   float64 // 0 = none
}

// show writes the outcome as the command line asks for.
func show(c *cli.Context, t figure.Table, p plot) error {
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		t.Notes = append(t.Notes, "load of the machine at the end: "+strings.Join(strings.Fields(string(load))[:3], " "))
	}
	if path := c.String("svg"); path != "" {
		if err := draw(t, p, path); err != nil {
			return err
		}
	}
	switch {
	case c.Bool("json"):
		return t.JSON(c.App.Writer)
	case c.Bool("benchstat"):
		return t.Benchstat(c.App.Writer)
	default:
		return t.Text(c.App.Writer)
	}
}

func draw(t figure.Table, p plot, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("draw plot: %v", err)
	}
	return errors.Join(t.SVG(f, p.figure, p.goal), f.Close())
}

// rounds is how often each subject is measured.
func rounds(c *cli.Context) (int, error) {
	n := c.Int("runs")
	if n < 1 {
		return 0, usageError{fmt.Errorf("--runs %d: at least 1", n)}
	}
	return n, nil
}
