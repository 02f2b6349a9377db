package node

import (
	"context"
	"fmt"
	"net"
	"time"

	"sluice/internal/control"
	"sluice/internal/node/metrics"
)

// tasks are what runs beside the engine.
func (n *node) tasks() []Task {
	list := []Task{newServeControl(n)}
	if n.boot.Metrics != "" {
		list = append(list, newServeMetrics(n))
	}
	if n.engine.Load() != nil {
		list = append(list, newServeListeners(n))
	}
	list = append(list, newKeepClusters(n), newKeepFlowSync(n))
	if n.boot.Alive > 0 {
		list = append(list, newSayAlive(n))
	}
	return list
}

// gate is the Ready half of a Task.
type gate struct{ opened chan struct{} }

// newGate returns one that is closed.
func newGate() gate { return gate{make(chan struct{})} }

func (g gate) open() { close(g.opened) }

// Ready implements [Task].
func (g gate) Ready() <-chan struct{} { return g.opened }

// serveControl answers the control socket. It is started after the dataplane
// was adopted, so that whoever gets an answer gets a true one.
type serveControl struct {
	gate
	n *node
}

func newServeControl(n *node) *serveControl { return &serveControl{newGate(), n} }

// String implements [Task].
func (*serveControl) String() string { return "control socket" }

// Run implements [Task].
func (t *serveControl) Run(ctx context.Context) error {
	server := control.New(control.Options{
		Build: control.ThisBuild(), Status: t.n, Counters: t.n, Flows: t.n, Drainer: t.n, Weigher: t.n, Guardian: t.n,
		Settings: t.n, Explain: t.n, Failover: t.n, Events: t.n.broker, Logger: t.n.log,
	})
	l, err := control.Listen(t.n.boot.Socket)
	if err != nil {
		return err
	}
	t.open()
	return server.Serve(ctx, l)
}

// serveMetrics answers Prometheus.
type serveMetrics struct {
	gate
	n *node
}

func newServeMetrics(n *node) *serveMetrics { return &serveMetrics{newGate(), n} }

// String implements [Task].
func (*serveMetrics) String() string { return "metrics" }

// Run implements [Task].
func (t *serveMetrics) Run(ctx context.Context) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", t.n.boot.Metrics)
	if err != nil {
		return fmt.Errorf("listen on node.metrics: %v; choose another address or port", err)
	}
	t.open()
	return metrics.Serve(ctx, l, metrics.NewRegistry(t.n, t.n), t.n.log)
}

// sayAlive tells the parent, and through it systemd's watchdog, that this
// process runs.
type sayAlive struct {
	gate
	n *node
}

func newSayAlive(n *node) *sayAlive { return &sayAlive{newGate(), n} }

// String implements [Task].
func (*sayAlive) String() string { return "watchdog" }

// Run implements [Task].
func (t *sayAlive) Run(ctx context.Context) error {
	t.open()
	ticks := time.NewTicker(t.n.boot.Alive)
	defer ticks.Stop()
	for {
		t.n.reporter.Alive()
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
	}
}
