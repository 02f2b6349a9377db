package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/urfave/cli/v2"
)

// run is the program: it carries out one command line and returns the exit
// code.
func run(ctx context.Context, e env, args []string) int {
	app := newApp(e)
	arranged, err := arrange(app, args)
	if err == nil {
		err = app.RunContext(ctx, arranged)
	}
	return report(e.stderr, err)
}

// newApp builds the whole surface. The library's own habits are switched off
// where they differ from ours: it would print errors to standard output, exit
// by itself, and turn a backend called "help" into a command.
func newApp(e env) *cli.App {
	g := &globals{env: e}
	app := &cli.App{
		Name:        "sluice",
		HelpName:    "sluice",
		Usage:       "one highly available address for SSH, steered in XDP",
		Writer:      e.stdout,
		ErrWriter:   e.stderr,
		HideVersion: true,

		HideHelpCommand:       true, // arrange turns "help X" into "X --help"
		CustomAppHelpTemplate: appHelp,
		OnUsageError:          badUsage,
		ExitErrHandler:        func(*cli.Context, error) {}, // run reports
		Flags:                 g.flags(),
		Commands: []*cli.Command{
			runCommand(g), nodeCommand(g), detachCommand(g),
			checkCommand(g), doctorCommand(g),
			statusCommand(g), showCommand(g), explainCommand(g),
			drainCommand(g), disableCommand(g), enableCommand(g), weightCommand(g),
			banCommand(g), unbanCommand(g), vipCommand(g),
			settingsCommand(g), importCommand(g),
			versionCommand(g), completionCommand(g), completeCommand(g),
		},
	}
	app.Action = func(*cli.Context) error {
		return usage("sluice --help lists the commands", "no command given")
	}
	return app
}

// action is what a command does once its command line is understood; args are
// the operands. It is all that commands see of the command line library.
type action func(ctx context.Context, args []string) error

// leaf completes a command that does something. It takes from least to most
// operands, any number from least on where most is negative.
func leaf(c *cli.Command, least, most int, do action) *cli.Command {
	c.HideHelpCommand = true
	c.CustomHelpTemplate = commandHelp
	c.OnUsageError = badUsage
	c.Action = func(cc *cli.Context) error {
		args := cc.Args().Slice()
		switch hint := cc.Command.HelpName + " --help shows the usage"; {
		case len(args) < least:
			return usage(hint, "%s: missing %s", cc.Command.Name, missing(c.ArgsUsage, len(args)))
		case most >= 0 && len(args) > most:
			return usage(hint, "%s: unexpected %q", cc.Command.Name, args[most])
		}
		return do(cc.Context, args)
	}
	return c
}

// missing names the first operand that is not there.
func missing(operands string, given int) string {
	names := strings.Fields(operands)
	return strings.Trim(names[min(given, len(names)-1)], "[].")
}

// group completes a command that only holds others.
func group(c *cli.Command) *cli.Command {
	c.HideHelpCommand = true
	c.CustomHelpTemplate = groupHelp
	c.OnUsageError = badUsage
	var names []string
	for _, s := range c.Subcommands {
		if !s.Hidden {
			names = append(names, s.Name)
		}
	}
	c.Action = func(*cli.Context) error {
		return usage(fmt.Sprintf("write sluice %s %s", c.Name, strings.Join(names, "|")), "%s: say what", c.Name)
	}
	return c
}

// flagFault is how package flag says that a value does not fit.
var flagFault = regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-([a-z-]+): (.*)$`)

// badUsage words the refusal of a flag's value; all else that can be wrong
// with flags was found by arrange.
func badUsage(c *cli.Context, err error, _ bool) error {
	text := err.Error()
	if m := flagFault.FindStringSubmatch(text); m != nil {
		text = fmt.Sprintf("--%s %s: %s", m[2], m[1], m[3])
	}
	return usage(c.Command.HelpName+" --help shows the usage", "%s", text)
}
