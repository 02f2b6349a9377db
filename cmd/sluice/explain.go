package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// explainCommand answers "why does this client end up there". The flow is a
// flag and not an operand because a user may be asked about in its place.
func explainCommand(g *globals) *cli.Command {
	var flow, to, what, cluster string
	var asJSON bool
	return leaf(&cli.Command{
		Name:  "explain",
		Usage: "say where a flow goes, or VIPs would go, and why, without side effects",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "flow", Destination: &flow, Usage: "the client's `SRC:PORT`"},
			&cli.StringFlag{Name: "to", Destination: &to, Usage: "the address it dials, `VIP:PORT`; may be left out where it is clear"},
			&cli.StringFlag{Name: "fail", Destination: &what, Usage: "who would be active if `WHAT` failed: a node, an interface or a pinged host"},
			&cli.StringFlag{Name: "cluster", Destination: &cluster, Usage: "with --fail, only virtual cluster `C`"},
			toggle("json", &asJSON, "one JSON object, for programs"),
		},
		Description: "WHAT may be written node:NAME, link:NAME or ping:ADDR where a bare name is not clear.",
	}, 0, 0, func(ctx context.Context, _ []string) error {
		switch {
		case what != "" && (flow != "" || to != ""):
			return usage("ask one thing at a time", "explain: --flow and --fail exclude each other")
		case what != "":
			return g.explainFail(ctx, what, cluster, asJSON)
		case flow == "":
			return usage("write sluice explain --flow 192.0.2.7:40022, or --fail gw-a", "explain: missing --flow or --fail")
		case cluster != "":
			return usage("leave it out", "explain: --cluster goes with --fail")
		}
		client, err := parseAddrPort("--flow", flow)
		if err != nil {
			return err
		}
		var listen netip.AddrPort
		if to != "" {
			if listen, err = parseAddrPort("--to", to); err != nil {
				return err
			}
		}
		return g.with(func(n *remote) error {
			x, err := n.Explain(ctx, client, listen)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(g.stdout, x)
			}
			return writeExplanation(g.stdout, x)
		})
	})
}

// parseAddrPort reads the value of a flag; names are not resolved, since it is
// the address that decides where a flow goes.
func parseAddrPort(flag, text string) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		return a, usage("write 192.0.2.7:40022 or [2001:db8::7]:40022", "%s %q: not an address and port", flag, text)
	}
	return a, nil
}

// writeExplanation writes the steps in order and, last, where they led.
func writeExplanation(w io.Writer, x control.Explanation) error {
	for i, step := range x.Steps {
		fmt.Fprintf(w, "%d. %s\n", i+1, printable(step))
	}
	if len(x.Program) > 0 {
		fmt.Fprintln(w, "The program says:")
	}
	for _, step := range x.Program {
		fmt.Fprintf(w, "   %s\n", printable(step))
	}
	verdict := x.Verdict
	switch {
	case x.Backend != "":
		verdict += fmt.Sprintf(" to %s (%s)", x.Backend, x.BackendAddr)
	case x.Reason != "":
		verdict += ": " + x.Reason
	}
	_, err := fmt.Fprintf(w, "%s -> %s (%s): %s\n", x.Client, x.Listen, orDash(x.Service), verdict)
	return err
}
