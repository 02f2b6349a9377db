package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// showAlarms lists what "status" shows last, for programs that look at nothing
// else.
func showAlarms(g *globals) *cli.Command {
	var f format
	return leaf(&cli.Command{
		Name:        "alarms",
		Usage:       "what needs an operator now, worst first, and what to do about it",
		Flags:       f.flags(),
		Description: "The exit code does not tell whether there is one.",
	}, 0, 0, func(ctx context.Context, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		return g.with(func(n *remote) error {
			list, err := n.Alarms(ctx)
			if err != nil {
				return err
			}
			return show(g.stdout, f, list, list.Alarms, alarmColumns())
		})
	})
}

func alarmColumns() []column[control.Alarm] {
	type a = control.Alarm
	return []column[a]{
		text("SEVERITY", "severity", func(r a) string { return r.Severity }),
		text("SUBJECT", "subject", func(r a) string { return r.Subject }),
		text("SINCE", "since", func(r a) string { return timeText(r.Since) }),
		text("TEXT", "text", func(r a) string { return r.Text }),
		text("HINT", "hint", func(r a) string { return r.Hint }),
	}
}
