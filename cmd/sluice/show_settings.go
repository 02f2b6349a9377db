package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"sluice/internal/control"
)

// showSettings writes a file that "settings apply" takes back.
func showSettings(g *globals) *cli.Command {
	var f format
	return leaf(&cli.Command{
		Name:        "settings",
		Aliases:     []string{"config"},
		Usage:       "the settings that run, as a file",
		Flags:       f.flags(),
		Description: "Standard output is the YAML alone; generation and state of the file go to standard error.",
	}, 0, 0, func(ctx context.Context, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		return g.with(func(n *remote) error {
			s, err := n.Settings(ctx)
			if err != nil {
				return err
			}
			if f.json || f.csv {
				return show(g.stdout, f, s, []control.Settings{s}, settingsColumns())
			}
			for _, line := range settingsText(s.SettingsState) {
				fmt.Fprintln(g.stderr, line)
			}
			_, err = fmt.Fprint(g.stdout, s.Text)
			return err
		})
	})
}

// settingsColumns are for CSV alone; for people the settings are a file.
func settingsColumns() []column[control.Settings] {
	type s = control.Settings
	return []column[s]{
		{name: "generation", value: func(r s) string { return strconv.FormatUint(r.Generation, 10) }},
		{name: "file", value: func(r s) string { return r.File }},
		{name: "file_is_behind", value: func(r s) string { return strconv.FormatBool(r.FileIsBehind) }},
		{name: "applied_at", value: func(r s) string { return timeText(r.AppliedAt) }},
		{name: "text", value: func(r s) string { return r.Text }},
	}
}

// settingsText says which settings run, what became of the last reload, and
// whether the file agrees; a line each, those that matter.
func settingsText(s control.SettingsState) []string {
	lines := []string{fmt.Sprintf("generation %d of %s", s.Generation, s.File)}
	if s.FileIsBehind {
		lines = append(lines, fmt.Sprintf("file is behind generation %d; \"sluice settings diff\" shows by what", s.Generation))
	}
	if r := s.LastReload; r != nil {
		if r.OK {
			lines = append(lines, fmt.Sprintf("last reload %s: ok, %s", timeText(r.At), plural(r.Changes, "change")))
		} else {
			lines = append(lines, fmt.Sprintf("last reload %s: refused: %s", timeText(r.At), printable(r.Error)))
		}
	}
	return lines
}
