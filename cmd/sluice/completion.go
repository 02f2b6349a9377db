package main

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// The scripts only ask "sluice complete", so that what is offered is decided
// in one place for all shells.
var (
	//go:embed completion/sluice.bash
	bashScript string
	//go:embed completion/sluice.zsh
	zshScript string
	//go:embed completion/sluice.fish
	fishScript string
)

// completionCommand writes to standard output, so that each shell can read it
// the way it likes.
func completionCommand(g *globals) *cli.Command {
	scripts := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}
	return leaf(&cli.Command{
		Name:      "completion",
		Usage:     "write the completion script of a shell",
		ArgsUsage: "bash|zsh|fish",
		Description: "bash: source <(sluice completion bash)\nzsh:  source <(sluice completion zsh)\n" +
			"fish: sluice completion fish | source",
	}, 1, 1, func(_ context.Context, args []string) error {
		script, known := scripts[args[0]]
		if !known {
			return usage("shells are bash, zsh and fish", "completion: unknown shell %q", args[0])
		}
		_, err := fmt.Fprint(g.stdout, script)
		return err
	})
}

// completeTimeout bounds how long a press of the tab key may take.
const completeTimeout = 500 * time.Millisecond

// completeCommand is what the scripts ask: the line up to the cursor in, one
// candidate a line out, each with a tab and a few words. No output means that
// a file belongs there.
func completeCommand(g *globals) *cli.Command {
	return leaf(&cli.Command{
		Name:            "complete",
		Hidden:          true,
		SkipFlagParsing: true,
	}, 1, 1, func(ctx context.Context, args []string) error {
		ctx, cancel := context.WithTimeout(ctx, completeTimeout)
		defer cancel()
		for _, c := range g.candidates(ctx, args[0]) {
			fmt.Fprintf(g.stdout, "%s\t%s\n", c.word, c.text)
		}
		return nil
	})
}

// candidate is one word that may stand where the cursor is.
type candidate struct{ word, text string }

// candidates reads the line as arrange would and offers what may follow. A
// line that is wrong already gets no help.
func (g *globals) candidates(ctx context.Context, line string) []candidate {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil
	}
	words, current := words[1:], ""
	if n := len(words); n > 0 && !strings.HasSuffix(line, " ") {
		words, current = words[:n-1], words[n-1]
	}
	app := newApp(g.env)
	a := &arranger{commands: app.Commands, globals: app.Flags}
	for len(words) > 0 {
		taken, err := a.take(words[0], words)
		if err != nil {
			return nil // an unknown flag, or one whose value is at the cursor
		}
		words = words[taken:]
	}
	var all []candidate
	switch {
	case strings.HasPrefix(current, "-"):
		all = flagCandidates(a)
	case a.command == nil || len(a.command.Subcommands) > 0:
		all = commandCandidates(a.commands)
	case strings.HasPrefix(a.command.ArgsUsage, "BACKEND"):
		g.config, g.socket = flagValue(a.global, "config", "c"), flagValue(a.global, "socket")
		all = g.backendCandidates(ctx)
	case strings.HasPrefix(a.command.ArgsUsage, "CLUSTER"):
		g.config, g.socket = flagValue(a.global, "config", "c"), flagValue(a.global, "socket")
		all = g.clusterCandidates(ctx)
	case a.command.Name == "completion":
		all = []candidate{{"bash", ""}, {"zsh", ""}, {"fish", ""}}
	}
	var fit []candidate
	for _, c := range all {
		if strings.HasPrefix(c.word, current) {
			fit = append(fit, c)
		}
	}
	return fit
}

// commandCandidates offers commands by their first names only.
func commandCandidates(commands []*cli.Command) []candidate {
	var all []candidate
	for _, c := range commands {
		if !c.Hidden {
			all = append(all, candidate{c.Name, c.Usage})
		}
	}
	return all
}

// flagCandidates offers the command's own flags before the global ones.
func flagCandidates(a *arranger) []candidate {
	flags := a.globals
	if a.command != nil {
		flags = append(slices.Clip(a.command.Flags), flags...)
	}
	all := []candidate{{"--help", "show the usage"}}
	for _, f := range flags {
		_, text, _ := strings.Cut(f.String(), "\t")
		all = append(all, candidate{"--" + f.Names()[0], text})
	}
	return all
}

// backendCandidates asks the node; without one there is nothing to offer.
func (g *globals) backendCandidates(ctx context.Context) []candidate {
	n := g.dial()
	defer n.Close()
	list, err := n.Backends(ctx)
	if err != nil {
		return nil
	}
	var all []candidate
	for _, b := range list.Backends {
		all = append(all, candidate{printable(b.Name), fmt.Sprintf("%s, %s", b.State, plural(b.FlowsNow, "flow"))})
	}
	return all
}

// clusterCandidates does the same for virtual clusters.
func (g *globals) clusterCandidates(ctx context.Context) []candidate {
	n := g.dial()
	defer n.Close()
	list, err := n.VirtualClusters(ctx)
	if err != nil {
		return nil
	}
	var all []candidate
	for _, c := range list.VirtualClusters {
		all = append(all, candidate{printable(c.Name), string(c.State)})
	}
	return all
}

// flagValue finds the value of a flag among arranged words.
func flagValue(words []string, names ...string) string {
	for i, word := range words {
		option, value, joined := strings.Cut(word, "=")
		for _, name := range names {
			switch {
			case strings.TrimLeft(option, "-") != name:
			case joined:
				return value
			case i+1 < len(words):
				return words[i+1]
			}
		}
	}
	return ""
}
