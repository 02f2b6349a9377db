package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// kept is one prefix that is kept out, by an operator or by the settings.
type kept struct {
	by string
	control.Ban
}

// showBans lists bans and denied prefixes in one table: to whom it matters
// whether somebody is kept out, it matters little by what.
func showBans(g *globals) *cli.Command {
	var f format
	return leaf(&cli.Command{
		Name:  "bans",
		Usage: "who is kept out, why, until when and how often",
		Flags: f.flags(),
	}, 0, 0, func(ctx context.Context, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		return g.with(func(n *remote) error {
			list, err := n.Bans(ctx)
			if err != nil {
				return err
			}
			var rows []kept
			for _, b := range list.Bans {
				rows = append(rows, kept{"ban", b})
			}
			for _, d := range list.Denied {
				rows = append(rows, kept{"deny", control.Ban{Prefix: d.Prefix, Packets: d.Packets, Bytes: d.Bytes}})
			}
			return show(g.stdout, f, list, rows, banColumns())
		})
	})
}

func banColumns() []column[kept] {
	type k = kept
	return []column[k]{
		text("PREFIX", "prefix", func(r k) string { return r.Prefix.String() }),
		text("BY", "by", func(r k) string { return r.by }),
		text("SINCE", "since", func(r k) string { return timeText(r.Since) }),
		text("UNTIL", "until", func(r k) string {
			if r.Until == nil {
				return ""
			}
			return timeText(*r.Until)
		}),
		number("PACKETS", "packets", func(r k) uint64 { return r.Packets }),
		size("BYTES", "bytes", func(r k) uint64 { return r.Bytes }),
		text("REASON", "reason", func(r k) string { return r.Reason }),
	}
}
