package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/urfave/cli/v2"

	"sluice/internal/config"
	"sluice/internal/control"
)

// detachCommand is the way back to a machine without us when no node is left to
// clean up after itself. It needs no readable settings and no running node.
func detachCommand(g *globals) *cli.Command {
	var pins string
	var yes bool
	return leaf(&cli.Command{
		Name:  "detach",
		Usage: "take XDP off the interfaces and forget all flows, after a node died",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bpffs", Destination: &pins, Usage: "our pins are in `DIR`, else where the settings say"},
			toggle("yes", &yes, "also while a node runs"),
		},
		Description: "Flows that were steered end: no packet of theirs is forwarded any more. A node that\n" +
			"runs is better stopped, which detaches too.",
	}, 0, 0, func(ctx context.Context, _ []string) error {
		if err := g.refuseWhileRunning(ctx, yes); err != nil {
			return err
		}
		if pins == "" {
			var err error
			if pins, err = g.pins(); err != nil {
				return err
			}
		}
		removed, err := g.detach(ctx, pins)
		for _, what := range removed {
			fmt.Fprintf(g.stdout, "removed %s\n", what)
		}
		if err == nil && len(removed) == 0 {
			fmt.Fprintf(g.stdout, "nothing to remove in %s\n", pins)
		}
		return err
	})
}

// refuseWhileRunning keeps a running node from losing its dataplane unawares.
// A node that is there but hangs is no reason to refuse: it may be why somebody
// wants to detach.
func (g *globals) refuseWhileRunning(ctx context.Context, yes bool) error {
	n := g.dial()
	defer n.Close()
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	s, err := n.Status(ctx)
	var unreachable *control.UnreachableError
	switch {
	case yes || errors.As(err, &unreachable):
		return nil
	case err != nil:
		return err
	}
	return fail("stop \"sluice run\" instead, or detach under it with --yes", "a node runs here (process %d)", s.PID)
}

// pins is the directory of the settings. Where there is no file it is the
// default; a file that cannot be read might have said otherwise.
func (g *globals) pins() (string, error) {
	s, err := config.Load(g.settingsFile())
	switch {
	case err == nil:
		return s.Node.BPFFS, nil
	case errors.Is(err, fs.ErrNotExist) && g.config == "":
		return defaultSettings().Node.BPFFS, nil
	}
	return "", fail("\"sluice check\" says why; --bpffs names the directory of the pins without them",
		"find the pins: settings %q cannot be read", g.settingsFile())
}
