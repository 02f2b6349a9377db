package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"sluice/internal/config"
)

// checkCommand is for the moment before a reload, and for a build of the
// settings elsewhere: the exit code tells, and faults are listed as compilers
// list theirs.
func checkCommand(g *globals) *cli.Command {
	probe := false
	return leaf(&cli.Command{
		Name:      "check",
		Usage:     "read a settings file and say everything that is wrong with it",
		ArgsUsage: "[FILE]",
		Description: "Without FILE it is the file of -c. Nothing of the machine is looked at; \"sluice doctor\"\n" +
			"does that. With --probe each backend is dialled once as its health check would, from here.",
		Flags: []cli.Flag{toggle("probe", &probe, "dial each backend once and say what answers")},
	}, 0, 1, func(ctx context.Context, args []string) error {
		file := g.settingsFile()
		if len(args) == 1 {
			file = args[0]
		}
		s, err := config.Load(file, config.Warn(func(w *config.Fault) {
			fmt.Fprintln(g.stderr, "warning:", w)
		}))
		if err != nil {
			return err
		}
		backends := make(map[string]bool)
		for _, service := range s.Services {
			for _, b := range service.Backends {
				backends[b.Addr.String()] = true
			}
		}
		parts := plural(len(s.Services), "service") + ", " + plural(len(backends), "backend")
		if n := len(s.VirtualClusters); n > 0 {
			parts += ", " + plural(n, "virtual cluster")
		}
		_, err = fmt.Fprintf(g.stdout, "%s: ok: %s\n", file, parts)
		if err != nil || !probe {
			return err
		}
		return g.probeAll(ctx, s)
	})
}

// probe tells what each backend answers, and fails where one would be down.
func (g *globals) probeAll(ctx context.Context, s *config.Settings) error {
	failed := 0
	for _, p := range g.env.probe(ctx, s) {
		found := "up: " + p.Found
		switch {
		case p.Err != nil:
			failed++
			found = "down: " + p.Err.Error()
		case p.Skipped:
			found = p.Found
		case p.Found == "":
			found = "up"
		}
		if _, err := fmt.Fprintf(g.stdout, "%s: backend %s (%s): %s\n", p.Service, p.Backend, p.Addr, found); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%s would be down", plural(failed, "backend"))
	}
	return nil
}
