package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// arrange puts a command line into the one order that the library reads:
// program, global flags, command, its flags, "--", operands.
//
// The library stops at the first operand and knows global flags before the
// command only. People write "sluice drain blue1 --wait" and "sluice run -c
// FILE"; both must mean what they say, so every flag may stand anywhere after
// the command it belongs to, and a global one anywhere at all. "help" as the
// first word is --help of what follows. A flag that nobody knows, a value that
// is missing and a command that does not exist are found here.
func arrange(app *cli.App, args []string) ([]string, error) {
	a := &arranger{commands: app.Commands, globals: app.Flags}
	for rest := args[1:]; len(rest) > 0; {
		word := rest[0]
		if a.command != nil && a.command.SkipFlagParsing {
			return slices.Concat(args[:1], a.global, a.path, rest), nil
		}
		if word == "--" {
			a.operands = append(a.operands, rest[1:]...)
			break
		}
		taken, err := a.take(word, rest)
		if err != nil {
			return nil, err
		}
		rest = rest[taken:]
	}
	if a.help {
		return slices.Concat(args[:1], a.path, []string{"--help"}), nil
	}
	if err := a.checkCommand(); err != nil {
		return nil, err
	}
	out := slices.Concat(args[:1], a.global, a.path, a.flags)
	if len(a.operands) > 0 {
		out = append(append(out, "--"), a.operands...)
	}
	return out, nil
}

// arranger is a command line taken apart.
type arranger struct {
	commands []*cli.Command // that may follow
	globals  []cli.Flag
	command  *cli.Command // the innermost so far; nil before the first

	global, path, flags, operands []string
	help                          bool // the usage is wanted, nothing else
}

// take sorts in one word, with its value where that is a word of its own, and
// returns how many words these are.
func (a *arranger) take(word string, rest []string) (int, error) {
	if len(word) > 1 && word[0] == '-' {
		return a.takeFlag(word, rest)
	}
	if a.command == nil && word == "help" {
		a.help = true
		return 1, nil
	}
	if c := find(a.commands, word); c != nil && len(a.operands) == 0 {
		a.command, a.commands = c, c.Subcommands
		a.path = append(a.path, word)
		return 1, nil
	}
	a.operands = append(a.operands, word)
	return 1, nil
}

// takeFlag sorts in a flag. The innermost command is asked first, so that it
// may have a flag that is called like a global one.
func (a *arranger) takeFlag(word string, rest []string) (int, error) {
	option, _, joined := strings.Cut(word, "=")
	name := strings.TrimLeft(option, "-")
	if name == "help" || name == "h" {
		a.help = true
		return 1, nil
	}
	into := &a.flags
	f := a.findFlag(name)
	if f == nil {
		into = &a.global
		if f = findFlag(a.globals, name); f == nil {
			return 0, usage(a.helpHint(), "unknown option %q", option)
		}
	}
	if joined || !takesValue(f) {
		*into = append(*into, word)
		return 1, nil
	}
	if len(rest) < 2 {
		return 0, usage(a.helpHint(), "option %q needs a value", word)
	}
	*into = append(*into, word, rest[1])
	return 2, nil
}

// findFlag looks at the command reached so far and at those it leads to: in
// "show --json backends" the flag belongs to a command not yet named.
func (a *arranger) findFlag(name string) cli.Flag {
	if a.command == nil {
		return nil
	}
	if f := findFlag(a.command.Flags, name); f != nil {
		return f
	}
	for _, c := range a.commands {
		if f := findFlag(c.Flags, name); f != nil {
			return f
		}
	}
	return nil
}

// checkCommand refuses words where a command belongs.
func (a *arranger) checkCommand() error {
	if len(a.operands) == 0 || (a.command != nil && len(a.command.Subcommands) == 0) {
		return nil
	}
	if a.command == nil {
		return usage(a.helpHint(), "unknown command %q", a.operands[0])
	}
	return usage(a.helpHint(), "%s: unknown %q", a.command.Name, a.operands[0])
}

// helpHint points at the help of the command reached so far.
func (a *arranger) helpHint() string {
	return fmt.Sprintf("%s --help shows what there is", strings.Join(append([]string{"sluice"}, a.path...), " "))
}

// find looks a command up by any of its names.
func find(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// findFlag looks a flag up by any of its names.
func findFlag(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// takesValue reports whether the next word belongs to the flag.
func takesValue(f cli.Flag) bool {
	switch f.(type) {
	case *cli.BoolFlag, waitFlag:
		return false
	}
	return true
}
