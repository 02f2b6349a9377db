package process

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// VIPCommand are the words the vip process is started with. They stand in its
// command line, where ps shows them and a later parent recognises it.
var VIPCommand = []string{"vip", "run"}

const (
	// VIPSocket is the name of the vip process's socket, beside the control
	// socket.
	VIPSocket = "vip.sock"
	// VIPDir is the name of the vip process's directory below node.data_dir.
	VIPDir = "vip"
)

// VIPCaps are all a vip process has: owner words in a pinned map (CAP_BPF),
// addresses and macvlans (CAP_NET_ADMIN), adverts and pings (CAP_NET_RAW).
var VIPCaps = capSet(unix.CAP_BPF, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW)

// ErrResign is the cause of the end of a vip process's context where it is to
// give its VIPs up, because nobody follows on this machine. At any other end it
// leaves owner words and addresses as they are, to run on until they expire, for
// a successor to take up.
var ErrResign = errors.New("the vip process was told to give its VIPs up")

// VIPBoot is what the parent hands to the vip process on its command line.
type VIPBoot struct {
	// Socket is the path of the unix socket the node finds it at.
	Socket string
	// State is the directory of what it keeps over restarts. It makes it itself.
	State string
	// Pins is the directory on bpffs that holds the dataplane's pins; it is the
	// identity of a vip process, as it is of a node.
	Pins string
	// Name and User are node.name and node.user.
	Name, User string
	// Restarts is how often this parent started it again because it had ended.
	Restarts int
	// Report is the descriptor of the pipe to the parent, 0 for none.
	Report int
}

// VIP is what the vip process beside a node is started with.
func (b Boot) VIP() VIPBoot {
	return VIPBoot{
		Socket: filepath.Join(filepath.Dir(b.Socket), VIPSocket), State: filepath.Join(b.DataDir, VIPDir),
		Pins: b.Pins, Name: b.Name, User: b.User,
	}
}

// Args returns the command line after the program's name.
func (b VIPBoot) Args() []string {
	return slices.Concat(VIPCommand, []string{
		"-socket", b.Socket,
		"-state", b.State,
		"-pins", b.Pins,
		"-name", b.Name,
		"-user", b.User,
		"-restarts", strconv.Itoa(b.Restarts),
		"-report", strconv.Itoa(b.Report),
	})
}

// ParseVIPBoot reads the command line after VIPCommand, as Args wrote it. Paths
// must be absolute.
func ParseVIPBoot(args []string) (VIPBoot, error) {
	var b VIPBoot
	flags := flag.NewFlagSet("vip", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&b.Socket, "socket", "", "")
	flags.StringVar(&b.State, "state", "", "")
	flags.StringVar(&b.Pins, "pins", "", "")
	flags.StringVar(&b.Name, "name", "", "")
	flags.StringVar(&b.User, "user", "", "")
	flags.IntVar(&b.Restarts, "restarts", 0, "")
	flags.IntVar(&b.Report, "report", 0, "")
	if err := flags.Parse(args); err != nil {
		return VIPBoot{}, fmt.Errorf("read vip arguments: %v; this command is started by \"sluice run\" only", err)
	}
	for _, path := range []string{b.Socket, b.State, b.Pins} {
		if !filepath.IsAbs(path) {
			return VIPBoot{}, fmt.Errorf("read vip arguments: path %q is not absolute; this command is started by \"sluice run\" only", path)
		}
	}
	if flags.NArg() != 0 || b.Report < 0 || b.Restarts < 0 {
		return VIPBoot{}, fmt.Errorf("read vip arguments: not as \"sluice run\" writes them")
	}
	return b, nil
}
