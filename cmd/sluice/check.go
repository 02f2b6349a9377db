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
	return leaf(&cli.Command{
		Name:      "check",
		Usage:     "read a settings file and say everything that is wrong with it",
		ArgsUsage: "[FILE]",
		Description: "Without FILE it is the file of -c. Nothing of the machine is looked at; \"sluice doctor\"\n" +
			"does that.",
	}, 0, 1, func(_ context.Context, args []string) error {
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
		_, err = fmt.Fprintf(g.stdout, "%s: ok: %s, %s\n", file,
			plural(len(s.Services), "service"), plural(len(backends), "backend"))
		return err
	})
}
