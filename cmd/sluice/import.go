package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"sluice/internal/config"
	"sluice/internal/config/keepalived"
)

// importCommand holds what says files of other programs in settings.
func importCommand(g *globals) *cli.Command {
	return group(&cli.Command{
		Name:        "import",
		Usage:       "say the configuration of another program in settings",
		Subcommands: []*cli.Command{importKeepalivedCommand(g)},
	})
}

// importKeepalivedCommand changes nothing: what it prints is for people to read
// before it becomes a file.
func importKeepalivedCommand(g *globals) *cli.Command {
	var name string
	var others repeated
	return leaf(&cli.Command{
		Name:      "keepalived",
		Usage:     "print settings that do what a keepalived.conf does",
		ArgsUsage: "FILE",
		Description: "FILE is that of one gateway; --node names another one and its file, which tells priorities\n" +
			"and addresses that FILE does not. What has no counterpart is listed at the end, as comments.\n" +
			"Files are included from the directory of FILE and below. \"sluice check\" takes the result.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "name", Destination: &name, Usage: "`NAME` of the gateway of FILE, also in lines such as @NAME; else its router_id"},
			&cli.GenericFlag{Name: "node", Value: &others, Usage: "another gateway and its file, as `NAME=FILE`; may be repeated"},
		},
	}, 1, 1, func(_ context.Context, args []string) error {
		operands := append([]string{name + "=" + args[0]}, others...)
		return g.importKeepalived(operands)
	})
}

// importKeepalived prints what becomes of the files of NAME=FILE operands.
func (g *globals) importKeepalived(operands []string) error {
	nodes, names := make([]keepalived.Node, len(operands)), map[string]bool{}
	for i, operand := range operands {
		name, file, ok := strings.Cut(operand, "=")
		if !ok || file == "" || i > 0 && name == "" {
			return usage("write it as in --node gw-b=/etc/gw-b/keepalived.conf", "--node %q is not NAME=FILE", operand)
		}
		if name != "" && !keepalived.IsName(name) {
			return usage("use up to 63 letters, digits and . _ -", "%q cannot be the name of a node", name)
		}
		if names[name] {
			return usage("give each its own", "two gateways are called %s", name)
		}
		names[name] = true
		root, err := os.OpenRoot(filepath.Dir(file))
		if err != nil {
			return fail("check the path", "read keepalived's configuration: %v", err)
		}
		defer func() { _ = root.Close() }() // read only
		dir, err := filepath.Abs(filepath.Dir(file))
		if err != nil {
			return fail("give the path from the root", "read keepalived's configuration: %v", err)
		}
		nodes[i] = keepalived.Node{Name: name, FS: root.FS(), File: filepath.Base(file), Dir: dir}
	}
	got, err := keepalived.Import(nodes)
	if faults, ok := errors.AsType[*config.Faults](err); ok {
		fmt.Fprintln(g.stderr, faults)
		return fail("correct it; keepalived -t -f FILE checks it, too", "the configuration has %s", plural(len(faults.List), "fault"))
	} else if err != nil {
		return err
	}
	if _, err := g.stdout.Write(got.Settings); err != nil {
		return err
	}
	if len(got.Left) > 0 {
		fmt.Fprintf(g.stderr, "%s to sluice, listed at the end\n", plural(len(got.Left), "difference"))
	}
	if got.Unknown > 0 {
		fmt.Fprintf(g.stderr, "%s to fill in where ~ is; the files of all gateways (--node NAME=FILE) may tell\n", plural(got.Unknown, "value"))
	}
	return nil
}

// repeated is the value of a flag that may stand there several times.
type repeated []string

// String implements [flag.Value].
func (r *repeated) String() string {
	if r == nil {
		return ""
	}
	return strings.Join(*r, " ")
}

// Set implements [flag.Value].
func (r *repeated) Set(text string) error {
	*r = append(*r, text)
	return nil
}
