package view

import (
	"sluice/internal/control"
	"sluice/steering"
)

// Event is one element of the event stream. services names those that steer to
// a backend; steering's events do not.
func Event(e steering.Event, services []string) control.Event {
	out := control.Event{Time: e.Time, Kind: control.EventKind(e.Kind)}
	switch e.Kind {
	case steering.EventFlowEstablished, steering.EventFlowClosed, steering.EventFlowRevived, steering.EventFlowRefused:
		out.Flow = &control.FlowEvent{
			Client: e.Client, Listen: e.Listen, Service: e.Service, Backend: e.Backend, Reason: e.Reason,
			Connection: e.Connection,
		}
	case steering.EventBackendState, steering.EventDrainProgress:
		b := &control.BackendEvent{
			Name: e.Backend, Addr: e.BackendAddr, Services: services,
			StateWas: control.BackendState(e.StateWas), State: control.BackendState(e.State), Reason: e.Reason,
		}
		if e.Drain != nil {
			b.FlowsNow, b.FlowsSilent = e.Drain.Flows, e.Drain.Silent
		}
		out.Backend = b
	}
	return out
}
