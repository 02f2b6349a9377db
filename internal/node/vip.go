package node

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"sluice/internal/node/failover"
	"sluice/internal/node/process"
)

// VIPDaemon is the body of the vip process: it calls ready once it does what it
// is there for and runs until ctx is done. Where [context.Cause] is then
// [process.ErrResign] it gives its VIPs up, else it leaves them to a successor.
// To end by itself is an error: the parent starts it again.
type VIPDaemon func(ctx context.Context, boot process.VIPBoot, log *slog.Logger, ready func()) error

// VIPOptions are what the vip process is started with.
type VIPOptions struct {
	// Args are the arguments after [process.VIPCommand], as the parent wrote
	// them.
	Args []string
	// Log gets what happens; nil discards.
	Log *slog.Logger
	// Daemon is what it runs; nil is the elections.
	Daemon VIPDaemon
}

// RunVIP runs the vip process until it is told to end: by SIGTERM, which leaves
// owner words and addresses to a successor; by SIGINT, which gives the VIPs up;
// or by ctx, which is as SIGTERM.
func RunVIP(ctx context.Context, o VIPOptions) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	// Whoever reads our log may die before us, and settings come from the node.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP)

	boot, err := process.ParseVIPBoot(o.Args)
	if err != nil {
		return err
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	reporter := process.NewReporter(boot.Report)
	err = runVIP(ctx, boot, o.Daemon, log, reporter, signals)
	if err != nil && reporter.Failed(err) {
		return ErrReported
	}
	return err
}

// runDaemon holds the elections.
func runDaemon(ctx context.Context, boot process.VIPBoot, log *slog.Logger, ready func()) error {
	return failover.Run(ctx, boot, log, ready)
}

func runVIP(ctx context.Context, boot process.VIPBoot, daemon VIPDaemon, log *slog.Logger, reporter *process.Reporter, signals <-chan os.Signal) error {
	if daemon == nil {
		daemon = runDaemon
	}
	held, err := process.LockVIP(boot.State)
	if err != nil {
		return err
	}
	defer held.Close()
	if err := process.KeepMemory(); err != nil && boot.Restarts == 0 {
		log.Warn("the vip process may be late when the machine runs out of memory", "error", err)
	}
	told, tell := context.WithCancelCause(ctx)
	defer tell(nil)
	go func() {
		select {
		case sig := <-signals:
			if sig == syscall.SIGINT {
				tell(process.ErrResign)
			}
			tell(nil)
		case <-told.Done():
		}
	}()
	err = daemon(told, boot, log, reporter.Ready)
	if told.Err() == nil && err == nil {
		err = errors.New("the vip process ended by itself")
	}
	return err
}
