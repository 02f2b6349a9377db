package vip

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"sluice/vip/election"
)

// Role is this gateway's part in a virtual cluster, as flow sync goes by it.
type Role struct {
	Name   string
	Active bool
	// Term is that in which this gateway is active, else the highest it knows.
	Term uint64
	VIPs []netip.Addr
}

func (r Role) equal(o Role) bool {
	return r.Name == o.Name && r.Active == o.Active && r.Term == o.Term && slices.Equal(r.VIPs, o.VIPs)
}

// roles are those of all clusters, for who waits for a change.
type roles struct {
	mu      sync.Mutex
	byName  map[string]Role
	seq     uint64
	changed chan struct{} // closed at the next change
}

func (r *roles) set(role Role) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, known := r.byName[role.Name]; known && old.equal(role) {
		return
	}
	if r.byName == nil {
		r.byName = map[string]Role{}
	}
	r.byName[role.Name] = role
	r.wake()
}

func (r *roles) remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byName, name)
	r.wake()
}

func (r *roles) wake() {
	r.seq++
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
}

// Roles waits until the roles are others than those numbered since, or ctx ends,
// and returns them with their number. 0 is before all others.
func (d *Daemon) Roles(ctx context.Context, since uint64) ([]Role, uint64) {
	r := &d.roles
	for {
		r.mu.Lock()
		list, seq := slices.SortedFunc(maps.Values(r.byName), func(a, b Role) int { return strings.Compare(a.Name, b.Name) }), r.seq
		if r.changed == nil {
			r.changed = make(chan struct{})
		}
		changed := r.changed
		r.mu.Unlock()
		if seq != since {
			return list, seq
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return list, seq
		}
	}
}

// tellRole makes this cluster's role known.
func (c *cluster) tellRole() {
	state, _ := c.machine.State()
	c.d.roles.set(Role{Name: c.plan.Name, Active: state == election.Active, Term: c.machine.Term(), VIPs: c.vips})
}
