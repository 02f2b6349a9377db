package main

import (
	"context"
	"fmt"
	"io"

	"sluice/internal/control"
)

// explainFail answers "who would have the VIPs then". Nothing fails by it.
func (g *globals) explainFail(ctx context.Context, what, cluster string, asJSON bool) error {
	q := control.FailQuestion{Cluster: cluster}
	var err error
	if q.Kind, q.Name, err = control.ParseFail(what); err != nil {
		return usage("write a node, an interface or a host that is pinged: --fail gw-a", "--fail: %v", err)
	}
	return g.with(func(n *remote) error {
		x, err := n.ExplainFail(ctx, q)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(g.stdout, x)
		}
		return writeFailExplanation(g.stdout, x)
	})
}

// failNouns are the kinds of what fails, as a sentence names them.
var failNouns = map[control.FailKind]string{
	control.FailNode: "node", control.FailLink: "the link of", control.FailPing: "the pinged host",
}

// writeFailExplanation writes for each virtual cluster where its VIPs are and
// would be, and below it why.
func writeFailExplanation(w io.Writer, x control.FailExplanation) error {
	fmt.Fprintf(w, "If %s %s failed:\n", printable(orDash(failNouns[x.Kind])), printable(x.Name))
	for _, c := range x.Clusters {
		text := fmt.Sprintf("%s -> %s", orNobody(c.Now), orNobody(c.Then))
		if c.Now == c.Then {
			text = orNobody(c.Now) + ", as now"
		}
		fmt.Fprintf(w, "%s: %s\n", printable(c.Cluster), printable(text))
		for i, why := range c.Why {
			fmt.Fprintf(w, "   %d. %s\n", i+1, printable(why))
		}
	}
	if len(x.Clusters) == 0 {
		fmt.Fprintln(w, "no virtual cluster is concerned")
	}
	return nil
}

// orNobody names a gateway, or that there is none.
func orNobody(node string) string {
	if node == "" {
		return "nobody"
	}
	return node
}
