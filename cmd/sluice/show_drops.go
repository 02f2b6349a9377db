package main

import (
	"context"
	"slices"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// showDrops leaves out of the table what never happened, so that what did
// happen is seen.
func showDrops(g *globals) *cli.Command {
	var f format
	var all bool
	return leaf(&cli.Command{
		Name:  "drops",
		Usage: "why packets were dropped, and how many",
		Flags: append([]cli.Flag{
			toggle("all", &all, "also reasons that never occurred; JSON and CSV have them always"),
		}, f.flags()...),
	}, 0, 0, func(ctx context.Context, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		return g.with(func(n *remote) error {
			list, err := n.Drops(ctx)
			if err != nil {
				return err
			}
			rows := list.Drops
			if !all && !f.csv {
				rows = slices.DeleteFunc(slices.Clone(rows), func(d control.Drop) bool { return d.Packets == 0 })
			}
			return show(g.stdout, f, list, rows, dropColumns())
		})
	})
}

// dropColumns has the meaning beside the name: a counter that needs a manual
// is not read.
func dropColumns() []column[control.Drop] {
	type d = control.Drop
	return []column[d]{
		text("REASON", "reason", func(r d) string { return r.Reason }),
		number("PACKETS", "packets", func(r d) uint64 { return r.Packets }),
		size("BYTES", "bytes", func(r d) uint64 { return r.Bytes }),
		text("MEANING", "text", func(r d) string { return r.Text }),
	}
}
