package flowsync

import (
	"hash/maphash"
	"maps"
	"slices"

	"sluice/steering/flowsync/wire"
)

// debt is that another gateway is to be told the flows of former terms.
type debt struct {
	term uint64
	// has is what this node had when it was asked.
	has  holding
	paid bool
}

// named are the flows that the active gateway of a term named or ended, by hash: of
// these it knows better, so nobody tells it. They are kept until a snapshot is
// complete and nothing is owed, then keys is nil.
type named struct {
	term uint64
	seed maphash.Seed
	keys map[uint64]struct{}
}

// in begins to note what is named in a term, unless that was begun before.
func (n *named) in(term uint64) {
	if term > n.term {
		*n = named{term: term, seed: maphash.MakeSeed(), keys: map[uint64]struct{}{}}
	}
}

func (n *named) note(k Key) {
	if n.keys != nil {
		n.keys[maphash.Comparable(n.seed, k)] = struct{}{}
	}
}

func (n *named) has(k Key) bool {
	_, has := n.keys[maphash.Comparable(n.seed, k)]
	return has
}

// settle forgets what was named where nobody will ask for it.
func (f *fence) settle() {
	for _, d := range f.debts {
		if !d.paid && d.term >= f.names.term {
			return
		}
	}
	if f.have.To >= f.names.term {
		f.names.keys = nil
	}
}

// unpaid is a debt to a peer, nil for none. mu of the roles must be held.
func (r *roles) unpaid(peer, name string, term uint64) *debt {
	f := r.fences[name]
	if f == nil || f.debts[peer] == nil || f.debts[peer].paid || f.debts[peer].term != term {
		return nil
	}
	return f.debts[peer]
}

// keeps says that a snapshot must remove nothing here: this node has flows that who
// sends it lacks. Where it has none to tell, what lies here is older than this
// process, and worth nothing. mu must be held.
func (r *roles) keeps(peer string, o *incoming) bool {
	d := r.fences[o.Name].debts[peer]
	return d != nil && d.term == o.Term && d.has.To > 0
}

// owed leaves of flows those that a peer is to be told back.
func (r *roles) owed(peer string, o *offered, flows []Flow) []Flow {
	r.mu.Lock()
	defer r.mu.Unlock()
	owed, f := r.unpaid(peer, o.Name, o.Term) != nil, r.fences[o.Name]
	return slices.DeleteFunc(flows, func(flow Flow) bool { return !owed || f.names.term == o.Term && f.names.has(flow.Key) })
}

// task is what is to be told of a cluster: its flows while this gateway is active,
// and debts, of which term and has never change.
type task struct {
	lacks wire.Span
	told  map[string]bool
	debts map[string]*debt // that are not paid
}

func (f *fence) task() task {
	t := task{lacks: f.lacks, told: maps.Clone(f.asked.told), debts: map[string]*debt{}}
	for peer, d := range f.debts {
		if !d.paid {
			t.debts[peer] = d
		}
	}
	return t
}

// forgive drops debts of terms that are over, and says whether there were any; mu of
// the roles must be held.
func (f *fence) forgive() bool {
	before := len(f.debts)
	maps.DeleteFunc(f.debts, func(_ string, d *debt) bool { return d.term < f.term || f.active != 0 && d.term <= f.active })
	return len(f.debts) < before
}

// partial notes that the peer, who is active, lacks flows.
func (in *inbound) partial(m wire.Partial) {
	o := in.offers[m.Index]
	if o == nil || o.tell != nil || m.Lacks == none || m.Lacks.Hi >= o.Term {
		return
	}
	o.lacks, o.asks = m.Lacks, !m.Told
	if o.asks {
		in.sync.roles.owe(in.name, o)
	}
}

// owe notes a debt, unless it was noted before. It is one also while this gateway is
// active in an older term, since its vip process may be stopped: nothing is taken
// from the other one then, but told all the same. mu of the roles must be held.
func (r *roles) owe(peer string, o *incoming) {
	c, f := r.view.Load().clusters[o.Name], r.fences[o.Name]
	if c == nil || !slices.Contains(c.Gateways, peer) || o.Term < f.term || f.active >= o.Term {
		return
	}
	d := f.debts[peer]
	switch {
	case d == nil || d.term < o.Term:
		d = &debt{term: o.Term}
		// A copy of this very term came from the peer itself, before it began anew.
		if f.have.To < o.Term && f.have.helps(o.lacks) {
			d.has = f.have
		}
	case d.paid && d.term == o.Term:
		// It has them, or its next life has: what came since is its own.
		d = &debt{term: o.Term}
	default:
		return
	}
	if f.debts == nil {
		f.debts = map[string]*debt{}
	}
	f.debts[peer] = d
	r.changed()
}

// paid notes that a peer has acknowledged what it was told back.
func (r *roles) paid(peer, name string, term uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(peer, name, term)
}

// forget ends a debt; mu must be held.
func (r *roles) forget(peer, name string, term uint64) {
	if d := r.unpaid(peer, name, term); d != nil {
		d.paid = true
		r.fences[name].settle()
		r.changed()
	}
}

// offered is what a peer is to be told of a cluster, nil for nothing.
func (v *view) offered(name, peer string) *offered {
	c, t := v.clusters[name], v.tasks[name]
	if c == nil || !slices.Contains(c.Gateways, peer) {
		return nil
	}
	if d, owed := t.debts[peer]; owed {
		return &offered{Offer: wire.Offer{Name: name, Term: d.term}, tell: &d.has}
	}
	if !c.Active {
		return nil
	}
	o := &offered{Offer: wire.Offer{Name: name, Term: c.Term}, lacks: t.lacks}
	o.told = o.lacks != none && t.told[peer]
	return o
}

// same says that two tell the same.
func (o *offered) same(p *offered) bool {
	return o.Term == p.Term && o.lacks == p.lacks && o.told == p.told && (o.tell == nil) == (p.tell == nil)
}
