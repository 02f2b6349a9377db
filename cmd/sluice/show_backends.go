package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// showBackends is the command operators use most: who serves, in which state,
// and how much.
func showBackends(g *globals) *cli.Command {
	var f format
	return leaf(&cli.Command{
		Name:    "backends",
		Aliases: []string{"hosts"},
		Usage:   "each backend once, with its state and its counters",
		Flags:   f.flags(),
		Description: "IN is towards the backend, OUT is from it (nat only). A number of flows with ≤\n" +
			"is an upper bound: the node cannot see that backend close.",
	}, 0, 0, func(ctx context.Context, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		return g.with(func(n *remote) error {
			list, err := n.Backends(ctx)
			if err != nil {
				return err
			}
			return show(g.stdout, f, list, list.Backends, backendColumns())
		})
	})
}

// backendColumns begins as the JSON does, with what scripts rely on. Columns
// that people would not read in a line of this length are in CSV only.
func backendColumns() []column[control.Backend] {
	type b = control.Backend
	return []column[b]{
		text("BACKEND", "name", func(r b) string { return r.Name }),
		text("ADDRESS", "addr", func(r b) string { return r.Addr.String() }),
		text("STATE", "state", func(r b) string { return string(r.State) }),
		{head: "WEIGHT", name: "weight", right: true, value: func(r b) string { return strconv.Itoa(r.Weight) }},
		number("PACKETS-IN", "packets_in", func(r b) uint64 { return r.PacketsIn }),
		size("BYTES-IN", "bytes_in", func(r b) uint64 { return r.BytesIn }),
		number("PACKETS-OUT", "packets_out", func(r b) uint64 { return r.PacketsOut }),
		size("BYTES-OUT", "bytes_out", func(r b) uint64 { return r.BytesOut }),
		number("OPENED", "flows_opened", func(r b) uint64 { return r.FlowsOpened }),
		{
			head: "FLOWS", name: "flows_now", right: true,
			value: func(r b) string { return strconv.FormatUint(r.FlowsNow, 10) },
			text:  func(r b) string { return flowsText(r.FlowsNow, r.FlowsNowIsUpperBound) },
		},
		number("SESSIONS", "sessions_now", func(r b) uint64 { return r.SessionsNow }),
		yesNo("", "flows_now_is_upper_bound", func(r b) bool { return r.FlowsNowIsUpperBound }),
		number("", "flows_silent", func(r b) uint64 { return r.FlowsSilent }),
		number("", "syns", func(r b) uint64 { return r.SYNs }),
		number("", "resets", func(r b) uint64 { return r.Resets }),
		text("HEALTH", "health", func(r b) string { return r.Health }),
		text("SERVICES", "services", func(r b) string { return strings.Join(r.Services, " ") }),
		text("REASON", "reason", func(r b) string { return r.Reason }),
	}
}
