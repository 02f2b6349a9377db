// Command lab brings up a whole Sluice on one machine: a client, a gateway with
// "sluice run" and SSH backends, each in a network namespace. It proves that a
// login through the VIP works, is counted and drains, and then shows the live
// view until Ctrl-C, which removes every trace.
//
// It needs root. What runs in it can be looked at from outside with
// "ip netns exec lab-client ..."; but start no second "sluice run" that way, for
// ip gives it a mount namespace of its own with which all pins would vanish:
// use "nsenter --net=/run/netns/lab-gw sluice run ...".
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the program: exit code 0, 1 for what failed, 2 for what was not
// understood.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "fault" {
		return runFault(args[1:], stdout, stderr)
	}
	o, err := parseOptions(args, stderr)
	if err != nil {
		return 2
	}
	// A closed pipe or terminal ends the lab like Ctrl-C: it must not die of it
	// and leave everything behind.
	ctx, stop := signal.NotifyContext(context.Background(),
		os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	failed, left := runLab(ctx, o, stdout)
	switch {
	case failed != nil && ctx.Err() != nil:
		fmt.Fprintln(stderr, "lab: interrupted")
	case failed != nil:
		fmt.Fprintf(stderr, "lab: %v\n", failed)
	}
	if left != nil {
		fmt.Fprintf(stderr, "lab: clear up: %v; the next start of the lab tries again\n", left)
	}
	if failed != nil || left != nil {
		return 1
	}
	return 0
}

// world is a lab of one gateway or of several.
type world interface {
	up(context.Context) error
	prove(context.Context) error
	watch(context.Context, io.Writer) error
	down() error
	// place is the directory, or "" where there was none yet.
	place() string
}

// runLab brings the lab up, proves it, shows it, and takes it down whatever
// happened before. It returns what failed, and what could not be taken down.
func runLab(ctx context.Context, o options, stdout io.Writer) (failed, left error) {
	r := report{stdout}
	var w world = &lab{options: o, report: r}
	if o.gateways > 1 {
		w = &cluster{options: o, report: r}
	}
	failed = live(ctx, w, o.once, stdout)
	left = w.down()
	if left == nil && w.place() != "" {
		r.line("gone", "namespaces, processes and %s are removed", w.place())
	}
	return failed, left
}

// live is the lab from its first namespace to Ctrl-C, or to its first failure.
func live(ctx context.Context, w world, once bool, stdout io.Writer) error {
	if err := w.up(ctx); err != nil {
		return err
	}
	if err := w.prove(ctx); err != nil {
		return err
	}
	if once {
		return nil
	}
	return w.watch(ctx, stdout)
}
