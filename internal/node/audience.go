package node

import "sync"

// audience is whether anybody reads the node's events, for the dataplane to
// know: one at a time, and each new one anew.
type audience struct {
	mu      sync.Mutex
	present bool
	// need says that the node itself reads events of flows.
	need   bool
	tell   func(present bool) error // of the running dataplane, nil without one
	failed func(error)
}

// changed is called when the first reader has come or the last one has gone.
func (a *audience) changed(present bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.present = present
	a.say()
}

// needed is called when the node itself begins or ends to read events of flows.
func (a *audience) needed(need bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.need = need
	a.say()
}

// follow has tell hear how it is, and what changes.
func (a *audience) follow(tell func(present bool) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tell = tell
	a.say()
}

func (a *audience) say() {
	if a.tell == nil {
		return
	}
	if err := a.tell(a.present || a.need); err != nil {
		a.failed(err)
	}
}
