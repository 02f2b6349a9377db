package node

import (
	"context"
	"path/filepath"

	"sluice/internal/config"
	"sluice/internal/node/engine"
	"sluice/internal/node/view"
	"sluice/steering"
)

// eventBuffer is how many events may wait for the broker, which waits for
// nobody.
const eventBuffer = 4096

// startEngine opens the dataplane and follows what becomes of it. mu is held.
func (n *node) startEngine(ctx context.Context, s *config.Settings) (*engine.Engine, error) {
	e, err := engine.Start(ctx, s, engine.Options{
		Pins: n.boot.Pins, DataDir: filepath.Join(n.boot.DataDir, steeringDir),
		Key: n.key.Ring(), MaxFlows: s.Dataplane.MaxFlows, Elected: elected, Shared: shared, Log: n.log,
	})
	if err != nil {
		return nil, err
	}
	n.notes.set("interfaces", interfaceAlarm(e.Warnings()))
	n.audience.follow(e.Table().SetFlowEvents)
	sub := e.Table().Subscribe(eventBuffer)
	n.followers.Go(func() {
		defer sub.Close()
		n.follow(e, sub)
	})
	return e, nil
}

// follow passes the engine's events on until it stops. One that stops by itself
// ends the node: the parent starts another, which adopts what is pinned.
func (n *node) follow(e *engine.Engine, sub *steering.Subscription) {
	for {
		select {
		case event := <-sub.Events():
			n.broker.Publish(view.Event(event, n.servicesOf(event)))
		case <-e.Done():
			if err := e.Err(); err != nil {
				n.fail(err)
			}
			return
		}
	}
}

// servicesOf names the services that steer to the backend of an event.
func (n *node) servicesOf(event steering.Event) []string {
	now := n.running.Load()
	if now == nil || event.StateWas == "" {
		return nil
	}
	var names []string
	for _, s := range now.settings.Services {
		for _, b := range s.Backends {
			if b.Addr == event.BackendAddr {
				names = append(names, s.Name)
			}
		}
	}
	return names
}

// fail ends the node for a reason; only the first one counts.
func (n *node) fail(err error) {
	select {
	case n.failed <- err:
	default:
	}
}
