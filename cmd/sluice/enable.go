package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// enableCommand needs no --yes: it can only add.
func enableCommand(g *globals) *cli.Command {
	var o order
	return leaf(&cli.Command{
		Name:        "enable",
		Usage:       "take back a drain or disable",
		ArgsUsage:   backendOperands,
		Flags:       o.flags("stay until health checks found them up, at most D"),
		Description: selectionText,
	}, 0, -1, func(ctx context.Context, args []string) error {
		s, err := o.selection("enable", args)
		if err != nil {
			return err
		}
		return g.carryOut(ctx, o, goalUp, func(n *remote) (control.ChangeList, error) {
			return n.Enable(ctx, s)
		})
	})
}
