package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// versionCommand names this program; which build a node runs is in its status.
func versionCommand(g *globals) *cli.Command {
	var asJSON bool
	return leaf(&cli.Command{
		Name:  "version",
		Usage: "say which build this program is",
		Flags: []cli.Flag{toggle("json", &asJSON, "one JSON object, for programs")},
	}, 0, 0, func(context.Context, []string) error {
		b := control.ThisBuild()
		if asJSON {
			return writeJSON(g.stdout, b)
		}
		_, err := fmt.Fprintln(g.stdout, buildText(b))
		return err
	})
}

// buildText is a build in one line, without what the build does not know.
func buildText(b control.Build) string {
	if b.Commit == "" {
		return fmt.Sprintf("sluice %s (%s)", b.Version, b.Go)
	}
	return fmt.Sprintf("sluice %s (%s, %s)", b.Version, b.Commit, b.Go)
}
