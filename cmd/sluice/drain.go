package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// drainCommand begins a drain, which then is the node's: it goes on when this
// program ends, when the node restarts, and on the other nodes.
func drainCommand(g *globals) *cli.Command {
	var o order
	var deadline, idleDone duration
	return leaf(&cli.Command{
		Name:      "drain",
		Usage:     "let nothing new reach backends; what lives goes on to its end",
		ArgsUsage: backendOperands,
		Flags: append(o.flags("stay until nothing is left, at most D"),
			durationFlag("deadline", &deadline, "reset what is left after `D`"),
			durationFlag("idle-done", &idleDone, "count flows without a packet for `D` as ended"),
			o.yesFlag(),
		),
		Description: selectionText + " A drained backend is\n" +
			"disabled at the end; \"sluice enable\" takes a drain back. The drain holds over restarts.\n" +
			"Ctrl-C ends the waiting, never the drain; the exit code is then 1, as when D ran out.",
	}, 0, -1, func(ctx context.Context, args []string) error {
		s, err := o.selection("drain", args)
		if err != nil {
			return err
		}
		options := control.DrainOptions{Deadline: control.Duration(deadline), IdleDone: control.Duration(idleDone), Yes: o.yes}
		return g.carryOut(ctx, o, goalDrained, func(n *remote) (control.ChangeList, error) {
			return n.Drain(ctx, s, options)
		})
	})
}
