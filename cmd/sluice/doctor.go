package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"sluice/internal/config"
	"sluice/internal/control"
)

// The levels of a finding.
const (
	levelPass = "pass"
	levelWarn = "warn"
	levelFail = "fail"
)

// finding is one thing the doctor looked at.
type finding struct {
	Level   string `json:"level"` // pass, warn or fail
	Subject string `json:"subject"`
	Text    string `json:"text"`
	Hint    string `json:"hint"` // what to do; empty on pass
}

// findings is what doctor --json writes.
type findings struct {
	Findings control.List[finding] `json:"findings"`
}

// doctorCommand looks at the machine, as check looks at the file. A warning is
// no failure, so that the exit code can guard a start.
func doctorCommand(g *globals) *cli.Command {
	var asJSON bool
	return leaf(&cli.Command{
		Name:  "doctor",
		Usage: "look for what keeps this machine from steering well",
		Flags: []cli.Flag{toggle("json", &asJSON, "one JSON object, for programs")},
		Description: "Each line is pass, warn or fail, with what to do. It changes nothing and needs no\n" +
			"running node. The exit code is 1 if a line is fail.",
	}, 0, 0, func(ctx context.Context, _ []string) error {
		s, err := config.Load(g.settingsFile())
		if err != nil {
			return err
		}
		list := findings{g.doctor(ctx, s)}
		if asJSON {
			err = writeJSON(g.stdout, list)
		} else {
			err = writeFindings(g.stdout, list.Findings)
		}
		if err != nil {
			return err
		}
		if n := count(list.Findings, levelFail); n > 0 {
			return fail("", "%s", plural(n, "check")+" failed")
		}
		return nil
	})
}

// count returns how many findings have the level.
func count(list []finding, level string) int {
	n := 0
	for _, f := range list {
		if f.Level == level {
			n++
		}
	}
	return n
}

// writeFindings writes a line for each finding and, below it, what to do.
func writeFindings(w io.Writer, list []finding) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.Level, printable(f.Subject), printable(f.Text))
		if f.Hint != "" && f.Level != levelPass {
			fmt.Fprintf(t, "\t\thint: %s\n", printable(f.Hint))
		}
	}
	fmt.Fprintf(t, "%d pass, %d warn, %d fail\n", count(list, levelPass), count(list, levelWarn), count(list, levelFail))
	return t.Flush()
}
