package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// vipCommand holds what moves VIPs, and the process that holds them: "sluice
// run" starts it by the words of the hidden command, which ps then shows.
func vipCommand(g *globals) *cli.Command {
	return group(&cli.Command{
		Name:  "vip",
		Usage: "move the VIPs of virtual clusters between gateways",
		Subcommands: []*cli.Command{
			moveCommand(g, "swap", "have the active gateway and the best other one change places",
				"Without --for it stays so, whatever the priorities are, until a gateway is lost or told otherwise.",
				(*control.Client).Swap),
			moveCommand(g, "resign", "have this gateway give up the VIPs it has",
				"Without --for this gateway takes them again only when no other can, or when it is told to.",
				(*control.Client).Resign),
			vipRunCommand(g),
		},
	})
}

// moveCommand is one way of moving VIPs.
func moveCommand(g *globals, name, does, text string, move func(*control.Client, context.Context, control.VIPOrder) (control.VIPChangeList, error)) *cli.Command {
	var o control.VIPOrder
	var span duration
	return leaf(&cli.Command{
		Name:      name,
		Usage:     does,
		ArgsUsage: "CLUSTER...|--all",
		Flags: []cli.Flag{
			toggle("all", &o.All, "every virtual cluster of the settings"),
			durationFlag("for", &span, "leave it so for `D`, then to the priorities"),
			toggle("yes", &o.Yes, "even if no other gateway can take the VIPs"),
		},
		Description: "CLUSTER is as \"sluice show vips\" has it.\n" + text,
	}, 0, -1, func(ctx context.Context, args []string) error {
		switch {
		case o.All && len(args) > 0:
			return usage("leave out one", "%s: clusters and --all exclude each other", name)
		case !o.All && len(args) == 0:
			return usage(fmt.Sprintf("write sluice vip %s CLUSTER, or --all", name), "%s: missing CLUSTER", name)
		}
		o.Clusters, o.For = args, control.Duration(span)
		return g.with(func(n *remote) error {
			list, err := move(n.Client, ctx, o)
			if control.IsCode(err, control.CodeNoPeer) {
				return fail("to do it all the same, add --yes", "%v", err)
			}
			if err != nil {
				return err
			}
			for _, c := range list.Changes {
				fmt.Fprintln(g.stdout, printable(moveText(c)))
			}
			if len(list.Changes) == 0 {
				fmt.Fprintln(g.stdout, "no virtual cluster is concerned")
			}
			return nil
		})
	})
}

// moveText says what an order did to one virtual cluster.
func moveText(c control.VIPChange) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", c.Cluster)
	if c.StateWas == c.State {
		fmt.Fprintf(&b, "unchanged, %s", c.State)
	} else {
		fmt.Fprintf(&b, "%s, was %s", c.State, c.StateWas)
	}
	switch {
	case c.State == control.VIPActive:
	case c.Peer == "":
		b.WriteString(", no gateway has its VIPs")
	default:
		fmt.Fprintf(&b, ", %s has its VIPs", c.Peer)
	}
	if c.Until != nil {
		fmt.Fprintf(&b, ", until %s", timeText(*c.Until))
	}
	return b.String()
}

// vipRunCommand is the process that "sluice run" starts. Its arguments are
// between the two of them and not for people.
func vipRunCommand(g *globals) *cli.Command {
	return leaf(&cli.Command{
		Name:            "run",
		Hidden:          true,
		SkipFlagParsing: true,
	}, 0, -1, g.runVIP)
}
