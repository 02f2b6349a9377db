package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// options are what the command line chooses.
type options struct {
	// once ends the lab after the proof.
	once bool
	// name begins the names of its namespaces and ends that of its directory.
	name     string
	backends int
	// gateways is their number; more than one stand in for each other.
	gateways int
	// mode and clientAddress are the words of the settings.
	mode, clientAddress string
	// sluice is the absolute path of the program under show.
	sluice string
	// builtIn takes the built-in SSH servers and client in any case.
	builtIn bool
	// settle is how long states and counters may take to show what was done.
	settle time.Duration
}

// settleTime is enough for health checks and a loaded machine.
const settleTime = 10 * time.Second

// names keeps to what is safe in paths and namespace names, and short enough
// for the control socket's.
var names = regexp.MustCompile(`^[a-z][a-z0-9-]{0,19}$`)

// parseOptions reads the command line and has said what is wrong with it when
// it returns an error.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	o := options{settle: settleTime}
	f := flag.NewFlagSet("lab", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprintln(stderr, "usage: lab [options]\n       lab fault [--name NAME] "+faultUsage+
			"\n\nBrings up a client, a gateway and SSH backends on this machine. Options:")
		f.PrintDefaults()
	}
	f.BoolVar(&o.once, "once", false, "prove it and end; exit 0 only if login, counters and drain came out right")
	f.IntVar(&o.backends, "backends", 3, "`number` of backends, 2 to 200")
	f.IntVar(&o.gateways, "gateways", 1, "`number` of gateways, 1 to 3; two or three share the VIPs")
	f.StringVar(&o.mode, "mode", "nat", "`mode` of the services: nat or dsr")
	f.StringVar(&o.clientAddress, "client-address", "hide", "what a nat backend sees: hide or keep")
	f.StringVar(&o.name, "name", "lab", "`name` of the lab, of which several may run beside each other")
	f.StringVar(&o.sluice, "sluice", "bin/sluice", "`path` of the sluice program")
	f.BoolVar(&o.builtIn, "built-in", false, "use the built-in SSH servers and client although OpenSSH is installed")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	err := o.check(f.Args())
	if err == nil {
		o.sluice, err = findSluice(o.sluice)
	}
	if err != nil {
		fmt.Fprintf(stderr, "lab: %v\n", err)
	}
	return o, err
}

// check refuses what would fail later with a less helpful message.
func (o options) check(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected %q; lab takes options only", rest[0])
	case o.backends < 2 || o.backends > 200:
		return fmt.Errorf("--backends %d: choose 2 to 200; a drain needs a second one", o.backends)
	case o.gateways < 1 || o.gateways > 3:
		return fmt.Errorf("--gateways %d: choose 1 to 3", o.gateways)
	case !slices.Contains([]string{"nat", "dsr"}, o.mode):
		return fmt.Errorf("--mode %q: choose nat or dsr", o.mode)
	case !slices.Contains([]string{"hide", "keep"}, o.clientAddress):
		return fmt.Errorf("--client-address %q: choose hide or keep", o.clientAddress)
	case o.mode == "dsr" && o.clientAddress != "hide":
		return errors.New("--client-address is for nat; a dsr backend always sees the client")
	}
	return nameFault(o.name)
}

// findSluice returns an absolute path: the program starts itself again.
func findSluice(path string) (string, error) {
	found, err := exec.LookPath(path)
	if err != nil {
		return "", fmt.Errorf("find the sluice program: %v; \"make build\" makes it, --sluice names another", err)
	}
	return filepath.Abs(found)
}
