package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// banCommand keeps clients out in the driver; what they have established goes
// on unless it is to be killed.
func banCommand(g *globals) *cli.Command {
	var q control.BanRequest
	var span duration
	return leaf(&cli.Command{
		Name:      "ban",
		Usage:     "keep new connections of an address or network out",
		ArgsUsage: "PREFIX",
		Flags: []cli.Flag{
			durationFlag("for", &span, "end the ban after `D`; without it, it stands until \"sluice unban\""),
			&cli.StringFlag{Name: "reason", Destination: &q.Reason, Usage: "`TEXT` for other operators"},
			toggle("kill", &q.Kill, "also reset what it has established"),
		},
		Description: "PREFIX is an address or a network. An IPv6 address stands for its /64, which one host has\n" +
			"all of. The ban holds over restarts; what guard.exempt of the settings names cannot be banned.",
	}, 1, 1, func(ctx context.Context, args []string) error {
		if _, err := control.ParseBanPrefix(args[0]); err != nil {
			return usage("write sluice ban 192.0.2.7, or a network such as 192.0.2.0/24", "ban: %v", err)
		}
		q.Prefix, q.For = args[0], control.Duration(span)
		return g.with(func(n *remote) error {
			r, err := n.Ban(ctx, q)
			if err != nil {
				return err
			}
			end := "until it is taken back"
			if r.Ban.Until != nil {
				end = "until " + timeText(*r.Ban.Until)
			}
			fmt.Fprintf(g.stdout, "%s: banned %s\n", r.Ban.Prefix, end)
			if q.Kill {
				fmt.Fprintf(g.stdout, "%s killed\n", plural(uint64(r.FlowsKilled), "flow"))
			}
			return nil
		})
	})
}

// unbanCommand takes a ban back.
func unbanCommand(g *globals) *cli.Command {
	return leaf(&cli.Command{
		Name:        "unban",
		Usage:       "take a ban back",
		ArgsUsage:   "PREFIX",
		Description: "PREFIX is as \"sluice show bans\" has it.",
	}, 1, 1, func(ctx context.Context, args []string) error {
		if _, err := control.ParseBanPrefix(args[0]); err != nil {
			return usage("\"sluice show bans\" lists them", "unban: %v", err)
		}
		return g.with(func(n *remote) error {
			r, err := n.Unban(ctx, args[0])
			if err != nil {
				return err
			}
			if !r.Changed {
				return fail("\"sluice show bans\" lists them", "unban: %s is not banned", r.Prefix)
			}
			fmt.Fprintf(g.stdout, "%s: no longer banned\n", r.Prefix)
			return nil
		})
	})
}
