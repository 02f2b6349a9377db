package main

import (
	"context"
	"io"
	"time"

	"sluice/internal/config"
	"sluice/internal/node"
)

// env is all that the program touches of the world around it, so that a test
// can be that world. Commands get it by value and never reach past it.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	now            func() time.Time
	after          func(time.Duration) <-chan time.Time
	// terminal returns the size of the terminal that w is; ok is false where w
	// is none.
	terminal func(w io.Writer) (width, height int, ok bool)
	// interruptible returns a context that ends with Ctrl-C or SIGTERM, from
	// the call until stop.
	interruptible func(context.Context) (ctx context.Context, stop context.CancelFunc)

	// What package node does; it is not started by looking at help.

	// runParent is the process of "sluice run"; it handles signals itself and
	// returns when a stop is complete.
	runParent func(ctx context.Context, settings string) error
	// runNode is the process that runParent starts, with the arguments it gave.
	// It returns errSaid when its parent says what went wrong.
	runNode func(ctx context.Context, args []string) error
	// runVIP is the vip process that runParent starts, likewise.
	runVIP func(ctx context.Context, args []string) error
	// doctor looks at this machine with the eyes of these settings.
	doctor func(context.Context, *config.Settings) []finding
	// probe dials every backend of these settings once.
	probe func(context.Context, *config.Settings) []node.Probed
	// detach takes everything of ours off the interfaces and out of the
	// directory of pins, and returns what it removed.
	detach func(ctx context.Context, pins string) ([]string, error)
}
