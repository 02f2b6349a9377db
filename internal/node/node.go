// Package node is the only place where the packages of sluice meet: it turns
// settings into running tasks, one settings change into steps that can be taken
// back, and what everybody knows into what the control API shows.
//
// Two processes live here. RunParent is `sluice run`, see package process;
// RunNode is what it starts.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sluice/internal/config"
	"sluice/internal/control"
	"sluice/internal/node/clusterkey"
	"sluice/internal/node/engine"
	"sluice/internal/node/failover"
	"sluice/internal/node/process"
	"sluice/internal/node/store"
)

// Options are what the node process is started with.
type Options struct {
	// Args are the arguments after the hidden command's name, as the parent
	// wrote them.
	Args []string
	// Log gets what happens; nil discards.
	Log *slog.Logger
}

// ErrReported is returned by RunNode when the parent was told why: it will say
// so, and saying it twice helps nobody.
var ErrReported = errors.New("the reason was reported to the parent process")

// Names of what the node keeps in its data directory.
const (
	settingsDir = "settings"
	steeringDir = "steering"
)

// node is the state of the node process.
type node struct {
	boot     process.Boot
	self     config.Node // as the settings said when the process started
	log      *slog.Logger
	reporter *process.Reporter
	started  time.Time
	parent   int // process that started this one
	broker   *control.Broker
	audience audience
	key      clusterkey.Key
	vips     *failover.Client // the vip process
	roles    *failover.Client // the same, for who waits for an answer
	flows    flowSync

	// mu is held by whoever changes the settings, from reading the old ones
	// until the new ones run and are stored. The fields down to engine are
	// written with it held.
	mu    sync.Mutex
	store *store.Store

	running    atomic.Pointer[running]
	lastReload atomic.Pointer[control.Reload]
	// engine is nil while it is replaced, and without services.
	engine atomic.Pointer[engine.Engine]
	// decap is nil while it is replaced, and where nothing is taken out.
	decap atomic.Pointer[engine.Decap]
	notes notes
	// followers pass on the events of engines.
	followers sync.WaitGroup
	// failed gets why the node cannot go on.
	failed chan error
}

// running is one generation that runs; it is never changed.
type running struct {
	choice
	generation store.Generation
	behind     bool
}

// RunNode runs the node process until it is told to end: by SIGTERM, which
// leaves the dataplane as it is for the next node; by SIGINT, which gets it
// ready to be taken down by the parent; or by ctx, which is as SIGTERM.
// SIGHUP reads the settings file again.
func RunNode(ctx context.Context, o Options) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	// Whoever reads our log may die before us.
	signal.Ignore(syscall.SIGPIPE)

	boot, err := process.ParseBoot(o.Args)
	if err != nil {
		return err
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	n := &node{
		boot: boot, self: selfOf(boot), log: log, reporter: process.NewReporter(boot.Report),
		started: time.Now(), parent: os.Getppid(), failed: make(chan error, 1), vips: failover.NewClient(boot.VIP().Socket), roles: failover.NewClient(boot.VIP().Socket),
	}
	n.audience.failed = func(err error) { log.Error("readers of events not told of", "error", err) }
	n.broker = control.NewBroker(n.audience.changed)
	err = n.run(ctx, signals)
	if err != nil && n.reporter.Failed(err) {
		return ErrReported
	}
	return err
}

// run brings the node up, waits, and brings it down:
//
//  1. the data directory is this process's alone,
//  2. key and store are read, and the settings to start with chosen,
//  3. the dataplane is adopted or made, and steers by them,
//  4. the control socket and the metrics answer,
//  5. the parent, and through it systemd, hears that all is ready.
func (n *node) run(ctx context.Context, signals <-chan os.Signal) error {
	held, err := process.LockNode(n.boot.DataDir)
	if err != nil {
		return err
	}
	defer held.Close()
	if err := n.open(); err != nil {
		return err
	}
	if err := n.begin(ctx); err != nil {
		return err
	}
	// Stopped in the reverse order of the start: nobody is answered any more, then
	// nothing is steered any more, then another may have the data directory.
	leave := false
	defer func() { n.end(leave) }()
	group, err := startTasks(ctx, n.tasks())
	if err != nil {
		return err
	}
	defer group.stop()
	n.reporter.Ready()
	n.log.Info("node is ready", "generation", n.running.Load().generation.Number)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-n.failed:
			return err
		case err := <-group.failed:
			return err
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				n.reporter.Reloaded(n.reload(ctx))
				continue
			}
			if leave = sig == syscall.SIGINT; leave {
				n.flows.leave(ctx)
			}
			return nil
		}
	}
}

// open makes ready what is kept over restarts.
func (n *node) open() error {
	if err := os.MkdirAll(filepath.Join(n.boot.DataDir, steeringDir), 0o700); err != nil {
		return fmt.Errorf("use node.data_dir: %v", err)
	}
	var err error
	if n.key, err = clusterkey.LoadOrCreate(n.boot.DataDir); err != nil {
		return err
	}
	n.store, err = store.Open(filepath.Join(n.boot.DataDir, settingsDir))
	return err
}

// end stops the engine; leave says that the dataplane is about to be removed.
func (n *node) end(leave bool) {
	n.closeDecap()
	e := n.engine.Swap(nil)
	if e == nil {
		return
	}
	stop := e.Stop
	if leave {
		stop = e.Leave
	}
	if err := stop(); err != nil {
		n.log.Warn("engine not stopped cleanly", "error", err)
	}
	n.followers.Wait()
}
