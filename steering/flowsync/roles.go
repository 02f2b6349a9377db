package flowsync

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sluice/steering/flowsync/wire"
)

// roles know who may write which flows into the table.
type roles struct {
	// mu is held while flows are imported or removed, so that a change of roles
	// comes before or after, never between a question and its consequence.
	mu     sync.Mutex
	fences map[string]*fence

	view atomic.Pointer[view]
}

// view is the clusters as they were last set, and what is to be told of them. It is
// never changed.
type view struct {
	clusters map[string]*Cluster
	byVIP    map[netip.Addr]*Cluster
	tasks    map[string]task
}

// fence is what keeps an older term's flows out.
type fence struct {
	// term is the highest known, of the election and of peers.
	term uint64
	// holder is whose flows are taken in that term, nil for nobody's. parted is who
	// said in that term that it gave its role up, after it had told all.
	holder *inbound
	parted string

	// have is what this table has of the cluster's flows, lacks what it was without
	// when it became active and has not been told since.
	have  holding
	lacks wire.Span
	// active is the term in which this gateway is active, 0 for not, and since when.
	active uint64
	since  time.Time
	asked
	debts map[string]*debt // by gateway
	names named
}

func (r *roles) init() {
	r.fences = map[string]*fence{}
	r.view.Store(&view{})
}

// maxClusters keeps what a peer may make this node remember small.
const maxClusters = 256

func newView(list []Cluster) (*view, error) {
	if len(list) > maxClusters {
		return nil, fmt.Errorf("%d clusters are more than %d", len(list), maxClusters)
	}
	v := &view{clusters: map[string]*Cluster{}, byVIP: map[netip.Addr]*Cluster{}}
	for _, c := range list {
		if c.Name == "" || len(c.Name) > wire.MaxName || v.clusters[c.Name] != nil {
			return nil, fmt.Errorf("cluster name %q stands twice, is empty, or is longer than %d bytes", c.Name, wire.MaxName)
		}
		c.VIPs, c.Gateways = slices.Clone(c.VIPs), slices.Clone(c.Gateways)
		v.clusters[c.Name] = &c
		for _, vip := range c.VIPs {
			if other := v.byVIP[vip.Unmap()]; other != nil {
				return nil, fmt.Errorf("VIP %s is of two clusters, %q and %q", vip, other.Name, c.Name)
			}
			v.byVIP[vip.Unmap()] = &c
		}
	}
	return v, nil
}

// set takes another list. copied names the gateway of whose flows the copy here is
// complete, if there is one.
func (r *roles) set(list []Cluster, copied func(name string, f *fence) string) error {
	v, err := newView(list)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fences := make(map[string]*fence, len(list))
	for name, c := range v.clusters {
		f := r.fences[name]
		if f == nil {
			f = &fence{}
		}
		switch {
		case !c.Active:
			f.active = 0
		case c.Term != f.active:
			f.take(c.Term, copied(name, f))
			f.complete(c)
		default:
			f.complete(c)
		}
		if c.Active || c.Term > f.term {
			f.holder, f.parted = nil, ""
		}
		f.term = max(f.term, c.Term)
		f.forgive()
		fences[name] = f
	}
	r.fences = fences
	r.show(v.clusters, v.byVIP)
	return nil
}

// show makes the view what is now; mu must be held.
func (r *roles) show(clusters map[string]*Cluster, byVIP map[netip.Addr]*Cluster) {
	v := &view{clusters: clusters, byVIP: byVIP, tasks: make(map[string]task, len(clusters))}
	for name := range clusters {
		v.tasks[name] = r.fences[name].task()
	}
	r.view.Store(v)
}

// changed shows what changed in a fence; mu must be held.
func (r *roles) changed() {
	v := r.view.Load()
	r.show(v.clusters, v.byVIP)
}

// admit says whether flows that in tells in a term are to be taken, 0 for yes.
// mu must be held.
func (r *roles) admit(in *inbound, name string, term uint64) wire.Refusal {
	c, f := r.view.Load().clusters[name], r.fences[name]
	switch {
	case c == nil || !slices.Contains(c.Gateways, in.name):
		return wire.RefusedUnknown
	case c.Active:
		return wire.RefusedActive
	case term < f.term:
		return wire.RefusedTerm
	case term == f.term && f.holder != nil && f.holder != in:
		return wire.RefusedHeld
	}
	if f.holder != in || f.term != term {
		f.parted = ""
	}
	f.term, f.holder = term, in
	f.names.in(term)
	if f.forgive() { // who was active before lacks what nobody needs from it any more
		r.changed()
	}
	return 0
}

// leave gives up what in holds. mu must be held.
func (r *roles) leave(in *inbound) {
	for _, f := range r.fences {
		if f.holder == in {
			f.holder = nil
		}
	}
}

// term is the highest known of a cluster. mu must be held.
func (r *roles) term(name string) uint64 {
	if f := r.fences[name]; f != nil {
		return f.term
	}
	return 0
}

var errReplaced = errors.New("a newer connection of the same gateway took its place")
