package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"sluice/internal/config"
	"sluice/internal/control"
)

// weightCommand has one operand for backends, which may be a set, so that the
// number is always the second and never taken for a name.
func weightCommand(g *globals) *cli.Command {
	var o order
	return leaf(&cli.Command{
		Name:      "weight",
		Usage:     "change a backend's share of new flows",
		ArgsUsage: "BACKEND N",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "service", Destination: &o.service, Usage: "only if service `S` steers to it"},
			o.yesFlag(),
		},
		Description: selectionText + fmt.Sprintf("\nN is 0 to %d; 0 gives it nothing new. Flows that live stay where they are.", config.MaxWeight),
	}, 2, 2, func(ctx context.Context, args []string) error {
		s, err := o.selection("weight", args[:1])
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(args[1])
		if err != nil || n < 0 || n > config.MaxWeight {
			return usage("write sluice weight blue1 3", "weight: %q is not a number within 0 to %d", args[1], config.MaxWeight)
		}
		return g.carryOut(ctx, o, goal{}, func(r *remote) (control.ChangeList, error) {
			return r.SetWeight(ctx, s, n, o.yes)
		})
	})
}
