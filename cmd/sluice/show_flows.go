package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// showFlows never asks for all: there may be millions, and a page answers what
// people ask. The node filters, so that a page is full of what was asked for.
func showFlows(g *globals) *cli.Command {
	var f format
	var q flowFilter
	return leaf(&cli.Command{
		Name:    "flows",
		Aliases: []string{"connections"},
		Usage:   "living flows, filtered, a page at a time",
		Flags:   append(q.flags(), f.flags()...),
		Description: "The list is of the last sweep of the flow table. Flows that come and go between two\n" +
			"pages may be skipped or seen twice.",
	}, 0, 0, func(ctx context.Context, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		query, err := q.query()
		if err != nil {
			return err
		}
		return g.with(func(n *remote) error {
			page, err := n.Flows(ctx, query)
			if err != nil {
				return err
			}
			if err := show(g.stdout, f, page, page.Flows, flowColumns()); err != nil {
				return err
			}
			if !f.json && !f.csv {
				fmt.Fprintln(g.stderr, pageText(page, g.now()))
			}
			return nil
		})
	})
}

// flowFilter is what the flags of "show flows" say.
type flowFilter struct {
	service, backend, client, state, sort string
	minIdle                               duration
	limit, offset                         int
}

func (q *flowFilter) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "service", Destination: &q.service, Usage: "only flows of service `S`"},
		&cli.StringFlag{Name: "backend", Destination: &q.backend, Usage: "only flows to backend `B`, a name or address:port"},
		&cli.StringFlag{Name: "client", Destination: &q.client, Usage: "only flows of client `A`, an address or network"},
		&cli.StringFlag{Name: "state", Destination: &q.state, Usage: "only flows in state `S`: young, established, half_closed, closed"},
		durationFlag("min-idle", &q.minIdle, "only flows without a packet for `D`"),
		&cli.StringFlag{Name: "sort", Destination: &q.sort, Value: "client", Usage: "order by `KEY`: client, backend, age, idle; -KEY turns it"},
		&cli.IntFlag{Name: "limit", Destination: &q.limit, Value: control.DefaultFlowLimit, Usage: "show at most `N`"},
		&cli.IntFlag{Name: "offset", Destination: &q.offset, Usage: "skip the first `N`"},
	}
}

// query leaves it to the node to judge names and numbers.
func (q *flowFilter) query() (control.FlowQuery, error) {
	sort, descending := q.sort, false
	if len(sort) > 0 && sort[0] == '-' {
		sort, descending = sort[1:], true
	}
	query := control.FlowQuery{
		Service: q.service, Backend: q.backend, State: control.FlowState(q.state), MinIdle: time.Duration(q.minIdle),
		Sort: control.FlowSort(sort), Descending: descending, Offset: q.offset, Limit: q.limit,
	}
	if q.limit < 1 || q.limit > control.MaxFlowLimit || q.offset < 0 {
		return query, usage("page with --offset", "--limit is 1 to %d, --offset 0 or more", control.MaxFlowLimit)
	}
	if q.client == "" {
		return query, nil
	}
	client, err := control.ParseClient(q.client)
	if err != nil {
		return query, usage("write 192.0.2.7 or 192.0.2.0/24", "--client: %v", err)
	}
	query.Client = client
	return query, nil
}

// flowColumns names both ends of both halves of a flow.
func flowColumns() []column[control.Flow] {
	type f = control.Flow
	return []column[f]{
		text("CLIENT", "client", func(r f) string { return r.Client.String() }),
		text("LISTEN", "listen", func(r f) string { return r.Listen.String() }),
		text("SERVICE", "service", func(r f) string { return r.Service }),
		text("BACKEND", "backend", func(r f) string { return r.Backend }),
		text("", "backend_addr", func(r f) string { return r.BackendAddr.String() }),
		text("SOURCE", "source", func(r f) string { return r.Source.String() }),
		text("STATE", "state", func(r f) string { return string(r.State) }),
		span("AGE", "age_seconds", func(r f) control.Seconds { return r.Age }),
		span("IDLE", "idle_seconds", func(r f) control.Seconds { return r.Idle }),
		text("", "connection", func(r f) string { return r.Connection }),
	}
}

// span is a length of time, in seconds for programs.
func span[T any](head, name string, value func(T) control.Seconds) column[T] {
	return column[T]{head: head, name: name, right: true,
		text: func(row T) string { return spanText(time.Duration(value(row))) },
		value: func(row T) string {
			return strconv.FormatFloat(time.Duration(value(row)).Seconds(), 'f', -1, 64)
		},
	}
}

// pageText says how much of the list is shown and how to go on.
func pageText(p control.FlowPage, now time.Time) string {
	end := p.Offset + len(p.Flows)
	text := fmt.Sprintf("%d of %s, as of %s ago", len(p.Flows), plural(p.Total, "flow"), spanText(now.Sub(p.AsOf)))
	if end < p.Total {
		text += fmt.Sprintf("; --offset %d shows the next", end)
	}
	return text
}
