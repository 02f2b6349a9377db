package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"sluice/internal/config"
	"sluice/internal/node/clusterkey"
	"sluice/internal/node/doctor"
	"sluice/internal/node/engine"
	"sluice/internal/node/failover"
	"sluice/internal/node/process"
)

// ParentOptions are what `sluice run` is started with.
type ParentOptions struct {
	// Settings is the path of the settings file.
	Settings string
	// Log gets what happens; nil discards.
	Log *slog.Logger
}

// RunParent is `sluice run`: it makes ready what needs root, starts the node
// process with the few capabilities it needs, and keeps it running until
// SIGTERM, SIGINT or the end of ctx, which take the dataplane down.
//
// Faulty settings come back as *config.Faults. Any error means that the start
// failed with nothing half applied, or that the end did.
func RunParent(ctx context.Context, o ParentOptions) error {
	file, err := filepath.Abs(o.Settings)
	if err != nil {
		return fmt.Errorf("read settings: %v", err)
	}
	s, err := config.Load(file)
	if err != nil {
		return err
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return process.Run(ctx, process.Options{
		Boot:      bootOf(file, s.Node),
		Dataplane: len(s.Services) > 0 || s.Dataplane.Decap.Enabled() || hasClusters(s),
		Failover:  hasClusters(s),
		DataNames: []string{settingsDir, steeringDir, clusterkey.Name},
		RunNames:  []string{listenersSocket},
		Check: func() error {
			_, err := config.Load(file)
			return err
		},
		Detach: func(pins string) error {
			removed, err := engine.Remove(pins)
			log.Info("dataplane taken down", "removed", len(removed))
			return errors.Join(err, failover.Sweep(log))
		},
		Pinned: engine.Pinned,
		Log:    log,
	})
}

// bootOf and selfOf are each other's inverse: what the parent read of node.* is
// what the node goes by for its whole life, whatever the file says by then.
func bootOf(file string, n config.Node) process.Boot {
	return process.Boot{
		Settings: file, Pins: n.BPFFS, DataDir: n.DataDir, Socket: n.Control.Socket,
		Name: n.Name, Metrics: n.Metrics, User: n.User,
	}
}

func selfOf(b process.Boot) config.Node {
	return config.Node{
		Name: b.Name, DataDir: b.DataDir, BPFFS: b.Pins, Control: config.Control{Socket: b.Socket},
		Metrics: b.Metrics, User: b.User,
	}
}

// Detach takes everything of ours off the interfaces and out of the directory
// of pins, for when no node is left to do it, and returns what it removed.
func Detach(_ context.Context, pins string) ([]string, error) { return engine.Remove(pins) }

// Doctor looks at this machine with the eyes of the settings.
func Doctor(ctx context.Context, s *config.Settings) []doctor.Finding { return doctor.Examine(ctx, s) }
