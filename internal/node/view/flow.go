package view

import (
	"sluice/internal/control"
	"sluice/loader"
	"sluice/steering"
)

// flowStates are the words for the states. A killed flow only answers resets:
// for people it is closed.
var flowStates = map[loader.FlowState]control.FlowState{
	loader.FlowYoung:       control.FlowYoung,
	loader.FlowEstablished: control.FlowEstablished,
	loader.FlowHalfClosed:  control.FlowHalfClosed,
	loader.FlowClosed:      control.FlowClosed,
	loader.FlowKilled:      control.FlowClosed,
}

// Query is what steering is asked for q.
func Query(q control.FlowQuery) steering.Query {
	out := steering.Query{
		Service: q.Service, Backend: q.Backend, Client: q.Client, MinIdle: q.MinIdle,
		Sort: steering.FlowSort(q.Sort), Descending: q.Descending, Offset: q.Offset, Limit: q.Limit,
	}
	// Killed is left out: for people such a flow is closed.
	for _, state := range []loader.FlowState{loader.FlowYoung, loader.FlowEstablished, loader.FlowHalfClosed, loader.FlowClosed} {
		if flowStates[state] == q.State {
			out.State = state
		}
	}
	return out
}

// Page is one page of flows; offset is the one that was asked for.
func Page(p steering.Page, offset int) control.FlowPage {
	out := control.FlowPage{Total: p.Total, Offset: offset, AsOf: p.At, Flows: make([]control.Flow, 0, len(p.Flows))}
	for _, f := range p.Flows {
		out.Flows = append(out.Flows, control.Flow{
			Client: f.Client, Listen: f.Listen, Service: f.Service, Backend: f.Backend, BackendAddr: f.BackendAddr,
			Source: f.Source, State: flowStates[f.State], Age: control.Seconds(f.Age), Idle: control.Seconds(f.Idle),
			Connection: f.Connection,
		})
	}
	return out
}

// Explanation is where a flow goes.
func Explanation(e steering.Explanation) control.Explanation {
	return control.Explanation{
		Client: e.Client, Listen: e.Listen, Service: e.Service, Mode: serviceMode(e.Mode, e.Nodes),
		Verdict: string(e.Verdict), Reason: e.Reason, Backend: e.Backend, BackendAddr: e.BackendAddr,
		KnownFlow: e.Known != nil, RingEntry: e.RingEntry, Steps: e.Steps, Program: e.Program,
	}
}
