package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/urfave/cli/v2"

	"sluice/internal/config"
	"sluice/internal/control"
)

const defaultConfig = "/etc/sluice/sluice.yaml"

// globals are what every command may need: the world and the two options that
// may stand before any command.
type globals struct {
	env
	config, socket string // as given by flag
}

// flags have no default value of their own: "not given" has to be told from
// "given", because the environment comes between.
func (g *globals) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: "config", Aliases: []string{"c"}, Destination: &g.config,
			Usage: "settings `FILE`, else $SLUICE_CONFIG, else " + defaultConfig,
		},
		&cli.StringFlag{
			Name: "socket", Destination: &g.socket,
			Usage: "control socket at `PATH`, else $SLUICE_SOCKET, else the one of the settings",
		},
	}
}

// settingsFile is the path of the settings file.
func (g *globals) settingsFile() string {
	return cmp.Or(g.config, g.getenv("SLUICE_CONFIG"), defaultConfig)
}

// remote is a running node to talk to.
type remote struct {
	*control.Client
	socket string
	// guessed says that the settings file could not be read and the socket is
	// the default one.
	guessed bool
}

// defaultSettings are those of an empty file.
func defaultSettings() *config.Settings {
	s, err := config.Parse("defaults", []byte("{}"), config.Hostname("localhost"))
	if err != nil {
		panic("sluice: the defaults are faulty: " + err.Error())
	}
	return s
}

// dial returns the node of the socket that was asked for. It does not connect.
func (g *globals) dial() *remote {
	n := &remote{socket: cmp.Or(g.socket, g.getenv("SLUICE_SOCKET"))}
	if n.socket == "" {
		s, err := config.Load(g.settingsFile())
		if err != nil {
			// A file in the middle of an edit must not keep people from looking.
			s = defaultSettings()
			n.guessed = !errors.Is(err, fs.ErrNotExist)
		}
		n.socket = s.Node.Control.Socket
	}
	n.Client = control.NewClient(n.socket)
	return n
}

// with runs do with a client and words what kept the node from answering.
func (g *globals) with(do func(*remote) error) error {
	n := g.dial()
	defer n.Close()
	return n.explain(do(n))
}

// explain adds to an error of the client what to do about it.
func (n *remote) explain(err error) error {
	if _, ok := errors.AsType[*control.UnreachableError](err); !ok {
		return err
	}
	var hint string
	switch {
	case errors.Is(err, fs.ErrNotExist):
		hint = "no node runs with this socket: start one with \"sluice run\", or name its socket with --socket"
	case errors.Is(err, syscall.ECONNREFUSED):
		hint = "the node that made this socket is dead: look at the log of \"sluice run\", or start it again"
	case errors.Is(err, fs.ErrPermission):
		hint = fmt.Sprintf("user id %d may not: ask as root or as the user the node runs as", os.Geteuid())
	case errors.Is(err, os.ErrDeadlineExceeded):
		hint = "the node runs but does not answer: look at its log"
	default:
		hint = "the node ended in the middle of an answer: look at its log and ask again"
	}
	f := fail(hint, "%v", err)
	if n.guessed {
		f.hints = append(f.hints, "this is the default socket, as the settings cannot be read; \"sluice check\" says why")
	}
	return f
}
