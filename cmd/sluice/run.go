package main

import (
	"context"

	"github.com/urfave/cli/v2"
)

// runCommand is the process that stays. It does not read the settings itself:
// the parent of a node parses as little as it can.
func runCommand(g *globals) *cli.Command {
	return leaf(&cli.Command{
		Name:  "run",
		Usage: "steer as the settings say, until stopped",
		Description: "SIGHUP reads the settings file again, SIGUSR2 replaces the program without touching\n" +
			"traffic, SIGTERM and Ctrl-C stop for real: XDP comes off the interfaces. If the program\n" +
			"dies otherwise, traffic goes on and the next \"sluice run\" takes over.",
	}, 0, 0, func(ctx context.Context, _ []string) error {
		return g.runParent(ctx, g.settingsFile())
	})
}

// nodeCommand is the process that "sluice run" starts with fewer rights. Its
// arguments are between the two of them and not for people.
func nodeCommand(g *globals) *cli.Command {
	return leaf(&cli.Command{
		Name:            "node",
		Hidden:          true,
		SkipFlagParsing: true,
	}, 0, -1, g.runNode)
}
