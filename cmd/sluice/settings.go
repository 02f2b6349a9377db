package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"sluice/internal/config"
	"sluice/internal/control"
)

// settingsCommand holds what changes settings; "show settings" reads them.
func settingsCommand(g *globals) *cli.Command {
	return group(&cli.Command{
		Name:  "settings",
		Usage: "change the settings that run, or see what a change would do",
		Subcommands: []*cli.Command{
			applyCommand(g), diffCommand(g),
			printCommand(g, "reference", "print a settings file with every key and what it means", config.Reference),
			printCommand(g, "schema", "print a JSON schema of the settings, for editors", config.Schema),
		},
	})
}

// printCommand writes a text that is part of the program.
func printCommand(g *globals, name, usage string, text func() []byte) *cli.Command {
	return leaf(&cli.Command{Name: name, Usage: usage}, 0, 0, func(context.Context, []string) error {
		_, err := g.stdout.Write(text())
		return err
	})
}

// applyCommand is idempotent: it can stand in a script that runs every hour.
func applyCommand(g *globals) *cli.Command {
	var force bool
	return leaf(&cli.Command{
		Name:      "apply",
		Usage:     "make a file the settings that run; says changed or unchanged",
		ArgsUsage: "[FILE]",
		Flags: []cli.Flag{
			toggle("force", &force, "also over newer settings that came another way"),
		},
		Description: "Without FILE it is the file of -c; FILE - is standard input. A file with a fault changes\n" +
			"nothing. Flows that live stay where they are.",
	}, 0, 1, func(ctx context.Context, args []string) error {
		file, err := g.readSettings(args)
		if err != nil {
			return err
		}
		return g.with(func(n *remote) error {
			r, err := n.Apply(ctx, file, force)
			if err != nil {
				return err
			}
			if !r.Changed {
				_, err := fmt.Fprintf(g.stdout, "unchanged: generation %d\n", r.Generation)
				return err
			}
			fmt.Fprintf(g.stdout, "changed: generation %d\n", r.Generation)
			return writeChanges(g.stdout, r.Changes)
		})
	})
}

// diffCommand asks the node, not the file of the generation before: what runs
// may have come another way.
func diffCommand(g *globals) *cli.Command {
	return leaf(&cli.Command{
		Name:      "diff",
		Usage:     "say what apply would change, and change nothing",
		ArgsUsage: "[FILE]",
		Description: "Without FILE it is the file of -c; FILE - is standard input. + is new, - goes, ~ changes.\n" +
			"The exit code does not tell whether there is a difference.",
	}, 0, 1, func(ctx context.Context, args []string) error {
		file, err := g.readSettings(args)
		if err != nil {
			return err
		}
		return g.with(func(n *remote) error {
			r, err := n.Diff(ctx, file)
			if err != nil {
				return err
			}
			if len(r.Changes) == 0 {
				_, err := fmt.Fprintln(g.stdout, "no difference")
				return err
			}
			return writeChanges(g.stdout, r.Changes)
		})
	})
}

// readSettings reads the file that the operands name. It reads it here and not
// in the node, so that the rights are those of who asks.
func (g *globals) readSettings(args []string) (control.SettingsFile, error) {
	name := g.settingsFile()
	if len(args) == 1 {
		name = args[0]
	}
	in := g.stdin
	if name == "-" {
		name = "standard input"
	} else {
		f, err := os.Open(name) //nolint:gosec // naming the file is what the operand is for
		if err != nil {
			return control.SettingsFile{}, fail("", "read settings: %v", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, config.MaxFile+1))
	if err != nil {
		return control.SettingsFile{}, fail("", "read settings: %v", err)
	}
	if len(data) > config.MaxFile {
		return control.SettingsFile{}, fail("is this the right file?", "read settings %q: more than %s", name, bytesText(config.MaxFile))
	}
	return control.SettingsFile{File: name, Text: string(data)}, nil
}

// writeChanges writes a line for each setting, in the signs of diff.
func writeChanges(w io.Writer, changes []control.Change) error {
	for _, c := range changes {
		var line string
		switch {
		case c.Old == "":
			line = fmt.Sprintf("+ %s: %s", c.Path, c.New)
		case c.New == "":
			line = fmt.Sprintf("- %s: %s", c.Path, c.Old)
		default:
			line = fmt.Sprintf("~ %s: %s -> %s", c.Path, c.Old, c.New)
		}
		if c.NeedsRestart {
			line += "  (from the next start of sluice run)"
		}
		if _, err := fmt.Fprintln(w, printable(line)); err != nil {
			return err
		}
	}
	return nil
}
