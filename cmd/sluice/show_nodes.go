package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// showNodes lists all nodes of the settings, also those this one knows nothing
// of; a missing line would look like a missing node.
func showNodes(g *globals) *cli.Command {
	var f format
	return leaf(&cli.Command{
		Name:  "nodes",
		Usage: "the nodes that the settings name; * marks the one that answers",
		Flags: f.flags(),
	}, 0, 0, func(ctx context.Context, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		return g.with(func(n *remote) error {
			list, err := n.Nodes(ctx)
			if err != nil {
				return err
			}
			return show(g.stdout, f, list, list.Nodes, nodeColumns())
		})
	})
}

// nodeColumns writes a dash for what is not known, which is not the same as 0.
func nodeColumns() []column[control.Node] {
	type n = control.Node
	known := func(r n, text string) string {
		if !r.Known {
			return "-"
		}
		return text
	}
	version := text("VERSION", "version", func(r n) string { return r.Version })
	started := text("STARTED", "started_at", func(r n) string { return timeText(r.StartedAt) })
	generation := number("GENERATION", "generation", func(r n) uint64 { return r.Generation })
	generation.text = func(r n) string { return known(r, generation.value(r)) }
	flows := number("FLOWS", "flows_now", func(r n) uint64 { return r.FlowsNow })
	flows.text = func(r n) string { return known(r, flows.value(r)) }
	return []column[n]{
		{head: "NODE", name: "name", value: func(r n) string { return r.Name }, text: func(r n) string {
			if r.Self {
				return r.Name + " *"
			}
			return r.Name
		}},
		yesNo("", "self", func(r n) bool { return r.Self }),
		yesNo("", "known", func(r n) bool { return r.Known }),
		version, started, generation, flows,
	}
}

// timeText writes a time for people and programs alike; "" for none.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
