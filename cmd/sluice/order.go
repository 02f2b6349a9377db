package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// order is what drain, disable, enable and weight have in common: for whom it
// is, and how it is told.
type order struct {
	all     bool
	service string
	yes     bool
	wait    patience
}

// The same words in the help of every order.
const (
	backendOperands = "BACKEND...|--all"
	selectionText   = "BACKEND is a name, an address:port or a set of names such as blue[1-4]."
)

// flags are those of every order; wait says what --wait waits for.
func (o *order) flags(wait string) []cli.Flag {
	return []cli.Flag{
		toggle("all", &o.all, "every backend of the settings"),
		&cli.StringFlag{Name: "service", Destination: &o.service, Usage: "only those of them that service `S` steers to"},
		newWaitFlag(&o.wait, wait),
	}
}

// yesFlag is for orders that can leave a service with nobody to serve it.
func (o *order) yesFlag() cli.Flag {
	return toggle("yes", &o.yes, "even if a service is left with no backend that is up")
}

// selection checks the operands; the node expands the sets of names.
func (o *order) selection(verb string, backends []string) (control.Selection, error) {
	s := control.Selection{Backends: backends, All: o.all, Service: o.service}
	switch {
	case o.all && len(backends) > 0:
		return s, usage("leave out one", "%s: backends and --all exclude each other", verb)
	case !o.all && len(backends) == 0:
		return s, usage(fmt.Sprintf("write sluice %s blue1, or --all", verb), "%s: missing BACKEND", verb)
	}
	for _, set := range backends {
		if _, err := control.ExpandNodeSet(set); err != nil {
			return s, usage("write blue1, blue[1-4] or blue[1,3]", "%v", err)
		}
	}
	return s, nil
}

// carryOut gives the order, says what it changed and, if asked, waits.
func (g *globals) carryOut(ctx context.Context, o order, goal goal, give func(*remote) (control.ChangeList, error)) error {
	return g.with(func(n *remote) error {
		list, err := give(n)
		if control.IsCode(err, control.CodeLastBackend) {
			return fail("to do it all the same, add --yes", "%v", err)
		}
		if err != nil {
			return err
		}
		for _, c := range list.Changes {
			fmt.Fprintln(g.stdout, printable(changeText(c)))
		}
		if len(list.Changes) == 0 {
			fmt.Fprintln(g.stdout, "no backend is concerned")
		}
		if !o.wait.wait || len(list.Changes) == 0 {
			return nil
		}
		return g.waitFor(ctx, n, newWaiting(list.Changes, goal, o.wait.limit))
	})
}

// changeText says what an order did to one backend, and to whom else that
// matters.
func changeText(c control.BackendChange) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s): ", c.Name, c.Addr)
	switch {
	case c.WeightWas != c.Weight:
		fmt.Fprintf(&b, "weight %d, was %d", c.Weight, c.WeightWas)
	case c.StateWas != c.State:
		fmt.Fprintf(&b, "%s, was %s", c.State, c.StateWas)
	default:
		fmt.Fprintf(&b, "unchanged, %s, weight %d", c.State, c.Weight)
	}
	fmt.Fprintf(&b, ", %s now", plural(c.FlowsNow, "flow"))
	if len(c.Services) > 1 {
		fmt.Fprintf(&b, ", in services %s", listText(c.Services))
	}
	return b.String()
}
