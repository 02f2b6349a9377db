package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// disableCommand is for a backend that shall be left alone: unlike a drain it
// has no end of its own and resets nobody.
func disableCommand(g *globals) *cli.Command {
	var o order
	return leaf(&cli.Command{
		Name:        "disable",
		Usage:       "let nothing new reach backends and stop their health checks; leave the living",
		ArgsUsage:   backendOperands,
		Flags:       append(o.flags("stay until the last flow ended, at most D"), o.yesFlag()),
		Description: selectionText + " \"sluice enable\" takes it back.",
	}, 0, -1, func(ctx context.Context, args []string) error {
		s, err := o.selection("disable", args)
		if err != nil {
			return err
		}
		return g.carryOut(ctx, o, goalEmpty, func(n *remote) (control.ChangeList, error) {
			return n.Disable(ctx, s, o.yes)
		})
	})
}
