// Package process is the parent of `sluice run` and its handle on its children,
// the node process and the vip process: making directories and bpffs ready,
// starting each with the few capabilities it needs and nothing else, restarting
// it, replacing it, stopping it.
//
// The parent runs as root, so it stays small and parses nothing that came over
// the network. What it reads of its children are lines of pipes of its own
// making.
package process

import (
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"time"
)

// Command is the hidden command a node process is started with.
const Command = "node"

// Boot is what the parent hands to the node on its command line. It is there,
// and not in the environment, so that ps shows which node a process is and a
// later parent can recognise it.
type Boot struct {
	// Settings is the path of the settings file.
	Settings string
	// Pins is the directory on bpffs that holds the dataplane's pins; it is the
	// identity of a node: one node per pin directory.
	Pins string
	// DataDir holds the settings store, the cluster key and the node's lock.
	DataDir string
	// Socket is the path of the control socket.
	Socket string
	// Name, Metrics and User are node.name, node.metrics and node.user. Like
	// the paths they hold until the parent is started anew.
	Name, Metrics, User string
	// Again says that this parent's node was ready before, so that a failure to
	// start must not be taken for a mistake of whoever just started it.
	Again bool
	// Restarts is how often this parent started the node again because it had
	// ended.
	Restarts int
	// Report is the descriptor of the pipe to the parent, 0 for none.
	Report int
	// Alive is how often the node reports that it lives, 0 for never.
	Alive time.Duration
}

// Args returns the command line after the program's name.
func (b Boot) Args() []string {
	return []string{
		Command,
		"-settings", b.Settings,
		"-pins", b.Pins,
		"-data", b.DataDir,
		"-socket", b.Socket,
		"-name", b.Name,
		"-metrics", b.Metrics,
		"-user", b.User,
		"-again=" + strconv.FormatBool(b.Again),
		"-restarts", strconv.Itoa(b.Restarts),
		"-report", strconv.Itoa(b.Report),
		"-alive", b.Alive.String(),
	}
}

// ParseBoot reads the command line after the hidden command's name, as Args
// wrote it. Paths must be absolute: a node outlives its parent's directory.
func ParseBoot(args []string) (Boot, error) {
	var b Boot
	flags := flag.NewFlagSet(Command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&b.Settings, "settings", "", "")
	flags.StringVar(&b.Pins, "pins", "", "")
	flags.StringVar(&b.DataDir, "data", "", "")
	flags.StringVar(&b.Socket, "socket", "", "")
	flags.StringVar(&b.Name, "name", "", "")
	flags.StringVar(&b.Metrics, "metrics", "", "")
	flags.StringVar(&b.User, "user", "", "")
	flags.BoolVar(&b.Again, "again", false, "")
	flags.IntVar(&b.Restarts, "restarts", 0, "")
	flags.IntVar(&b.Report, "report", 0, "")
	flags.DurationVar(&b.Alive, "alive", 0, "")
	if err := flags.Parse(args); err != nil {
		return Boot{}, fmt.Errorf("read node arguments: %v; this command is started by \"sluice run\" only", err)
	}
	for _, path := range []string{b.Settings, b.Pins, b.DataDir, b.Socket} {
		if !filepath.IsAbs(path) {
			return Boot{}, fmt.Errorf("read node arguments: path %q is not absolute; this command is started by \"sluice run\" only", path)
		}
	}
	if flags.NArg() != 0 || b.Restarts < 0 || b.Report < 0 || b.Alive < 0 {
		return Boot{}, fmt.Errorf("read node arguments: not as \"sluice run\" writes them")
	}
	return b, nil
}
