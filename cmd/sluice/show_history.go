package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// showHistory answers "why did it move last night".
func showHistory(g *globals) *cli.Command {
	var f format
	var q control.HistoryQuery
	return leaf(&cli.Command{
		Name:  "history",
		Usage: "when this gateway became active or backup, and why, the latest first",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "cluster", Destination: &q.Cluster, Usage: "only virtual cluster `C`"},
			&cli.IntFlag{Name: "limit", Destination: &q.Limit, Value: control.DefaultHistory, Usage: "show at most `N`"},
		}, f.flags()...),
		Description: "The last 1000 changes are kept, over restarts.",
	}, 0, 0, func(ctx context.Context, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		if q.Limit < 1 || q.Limit > control.MaxHistory {
			return usage("leave it out for the latest", "--limit is 1 to %d", control.MaxHistory)
		}
		return g.with(func(n *remote) error {
			list, err := n.History(ctx, q)
			if err != nil {
				return err
			}
			return show(g.stdout, f, list, list.Changes, historyColumns())
		})
	})
}

func historyColumns() []column[control.StateChange] {
	type c = control.StateChange
	return []column[c]{
		text("AT", "at", func(r c) string { return r.At.UTC().Format("2006-01-02T15:04:05.000Z") }),
		text("CLUSTER", "cluster", func(r c) string { return r.Cluster }),
		text("WAS", "state_was", func(r c) string { return string(r.StateWas) }),
		text("STATE", "state", func(r c) string { return string(r.State) }),
		number("TERM", "term", func(r c) uint64 { return r.Term }),
		text("CAUSE", "cause", func(r c) string { return r.Cause }),
		text("REASON", "reason", func(r c) string { return r.Reason }),
	}
}
