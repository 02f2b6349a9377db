package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// showServices shows the same traffic as showBackends, seen from the address
// that was dialled.
func showServices(g *globals) *cli.Command {
	var f format
	return leaf(&cli.Command{
		Name:  "services",
		Usage: "each VIP and port, with its backends and its counters",
		Flags: f.flags(),
	}, 0, 0, func(ctx context.Context, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		return g.with(func(n *remote) error {
			list, err := n.Services(ctx)
			if err != nil {
				return err
			}
			return show(g.stdout, f, list, list.Services, serviceColumns())
		})
	})
}

// serviceColumns counts the backends that are up beside naming them all: that
// the last one went is what an operator looks for.
func serviceColumns() []column[control.Service] {
	type s = control.Service
	return []column[s]{
		{head: "SERVICE", name: "name", text: serviceName, value: func(r s) string { return r.Name }},
		text("LISTEN", "listen", func(r s) string { return r.Listen.String() }),
		text("MODE", "mode", func(r s) string { return r.Mode }),
		text("", "client_address", func(r s) string { return r.ClientAddress }),
		text("", "select", func(r s) string { return r.Select }),
		yesNo("", "removed", func(r s) bool { return r.Removed }),
		{head: "UP", name: "backends_up", right: true, value: backendsUp, text: func(r s) string {
			return fmt.Sprintf("%s/%d", backendsUp(r), len(r.Backends))
		}},
		number("PACKETS-IN", "packets_in", func(r s) uint64 { return r.PacketsIn }),
		size("BYTES-IN", "bytes_in", func(r s) uint64 { return r.BytesIn }),
		number("PACKETS-OUT", "packets_out", func(r s) uint64 { return r.PacketsOut }),
		size("BYTES-OUT", "bytes_out", func(r s) uint64 { return r.BytesOut }),
		number("OPENED", "flows_opened", func(r s) uint64 { return r.FlowsOpened }),
		{
			head: "FLOWS", name: "flows_now", right: true,
			value: func(r s) string { return strconv.FormatUint(r.FlowsNow, 10) },
			text:  func(r s) string { return flowsText(r.FlowsNow, r.FlowsNowIsUpperBound) },
		},
		yesNo("", "flows_now_is_upper_bound", func(r s) bool { return r.FlowsNowIsUpperBound }),
		number("", "flows_revived", func(r s) uint64 { return r.FlowsRevived }),
		number("", "ring_entries", func(r s) uint64 { return r.RingEntries }),
		{head: "LOOKED-UP", name: "ring_in_doubt", right: true, value: func(r s) string { return strconv.FormatUint(r.RingInDoubt, 10) }, text: ringText},
		number("", "ring_moved", func(r s) uint64 { return r.RingMoved }),
		number("", "ring_pending", func(r s) uint64 { return r.RingPending }),
		number("", "ring_refresh", func(r s) uint64 { return r.RingRefresh }),
		number("", "syns", func(r s) uint64 { return r.SYNs }),
		number("REFUSED", "refused", func(r s) uint64 { return r.Refused }),
		number("UNPROTECTED", "flows_unprotected", func(r s) uint64 { return r.FlowsUnprotected }),
		number("", "icmp_errors", func(r s) uint64 { return r.ICMPErrors }),
		number("NO-RETURN", "no_return_path", func(r s) uint64 { return r.NoReturnPath }),
		text("BACKENDS", "backends", memberNames),
	}
}

// serviceName marks a service that only lives on in its flows.
func serviceName(s control.Service) string {
	if s.Removed {
		return s.Name + " (removed)"
	}
	return s.Name
}

func backendsUp(s control.Service) string {
	up := 0
	for _, b := range s.Backends {
		if b.State == control.StateUp {
			up++
		}
	}
	return strconv.Itoa(up)
}

// memberNames lists the backends in the order of the settings.
func memberNames(s control.Service) string {
	names := make([]string, len(s.Backends))
	for i, b := range s.Backends {
		names[i] = b.Name
	}
	return strings.Join(names, " ")
}

// ringText is the share of the ring entries whose flows are looked up.
func ringText(s control.Service) string {
	if s.RingEntries == 0 {
		return "all"
	}
	return fmt.Sprintf("%.1f%%", 100*float64(s.RingInDoubt)/float64(s.RingEntries))
}
