package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// kept is one prefix that is kept out by an operator or by the settings, or never
// is.
type kept struct {
	by string
	control.Ban
}

// showBans lists bans, denied and exempt prefixes in one table: to whom it
// matters whether somebody is kept out, it matters little by what.
func showBans(g *globals) *cli.Command {
	var f format
	return leaf(&cli.Command{
		Name:  "bans",
		Usage: "who is kept out, why, until when and how often, and who is exempt",
		Flags: f.flags(),
		Description: "PACKETS are those that a ban or guard.deny kept out, or that guard.exempt let past:\n" +
			"those of denied prefixes, and those that begin a connection.",
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
			rows = append(rows, ruled("deny", list.Denied)...)
			rows = append(rows, ruled("exempt", list.Exempt)...)
			return show(g.stdout, f, list, rows, banColumns())
		})
	})
}

// ruled are the prefixes of one list of the settings.
func ruled(by string, list []control.Rule) (rows []kept) {
	for _, r := range list {
		rows = append(rows, kept{by, control.Ban{Prefix: r.Prefix, Packets: r.Packets, Bytes: r.Bytes}})
	}
	return rows
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
