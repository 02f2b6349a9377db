package flowsync

import (
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"sluice/steering/flowsync/wire"
)

// A gateway that becomes active without having all flows asks the others for what
// they have of former terms. Whoever lived through these, as the active gateway or
// with a copy of its flows, answers once; until all that is missing was told, or
// every other gateway answered, no snapshot removes flows where none was told yet.

// asked is what a gateway that became active was told by the others.
type asked struct {
	// told are the gateways that told all they had.
	told map[string]bool
	// ranks are the flows that were told, by hash, and by whom: one of a newer term
	// wins. Those that are not in it are this gateway's own, which nobody touches.
	seed  maphash.Seed
	ranks map[uint64]uint64
}

// take makes this gateway active in a term. from is the gateway of which it has a
// complete copy, and which knows nothing more, "" for none.
func (f *fence) take(term uint64, from string) {
	have := f.have
	if from != "" {
		have.Tail = false
	}
	f.lacks = none
	if term > 0 {
		f.lacks = have.missing(term - 1)
	}
	f.active, f.since = term, time.Now()
	f.have = holding{To: term, Lacks: f.lacks}
	f.asked = asked{told: map[string]bool{from: true}, seed: maphash.MakeSeed(), ranks: map[uint64]uint64{}}
}

// answered notes that a gateway told all it has; mu of the roles must be held.
func (r *roles) answered(name, gateway string, has holding) {
	c, f := r.view.Load().clusters[name], r.fences[name]
	f.told[gateway] = true
	f.lacks = has.filled(f.lacks)
	f.complete(c)
	r.changed()
}

// complete ends the asking where nobody else is there who could have more, or
// nothing is missing.
func (f *fence) complete(c *Cluster) {
	if !slices.ContainsFunc(c.Gateways, func(g string) bool { return !f.told[g] }) {
		f.lacks = none
	}
	f.have.Lacks = f.lacks
	if f.lacks == none {
		f.ranks = nil
	}
}

// admitTell says whether flows that in tells back are to be taken, 0 for yes. mu
// must be held.
func (r *roles) admitTell(in *inbound, m *wire.Tell) wire.Refusal {
	c, f := r.view.Load().clusters[m.Name], r.fences[m.Name]
	switch {
	case c == nil || !slices.Contains(c.Gateways, in.name):
		return wire.RefusedUnknown
	case !c.Active || m.Term != c.Term || f.term != c.Term:
		return wire.RefusedTerm
	case f.lacks == none || f.told[in.name]:
		return wire.RefusedWhole
	}
	return 0
}

// tell notes that the peer tells flows back.
func (in *inbound) tell(m wire.Tell) error {
	if err := in.room(m.Name); err != nil {
		return err
	}
	o := &incoming{Offer: wire.Offer{Index: m.Index, Name: m.Name, Term: m.Term}, tell: &m, skipped: map[Skip]int{}}
	in.offers[m.Index] = o
	if in.taken(m.Index) != nil && m.Has.To == 0 {
		in.sync.roles.answered(m.Name, in.name, holding{})
		in.sync.tell(EventTold, in.name, m.Name, "it has no flows of former terms")
	}
	return nil
}

// untouched are those of flows told back that are neither here nor were told by who
// knows better. mu of the roles must be held.
func (in *inbound) untouched(o *incoming, flows []Flow) ([]Flow, error) {
	f := in.sync.roles.fences[o.Name]
	keys := make([]Key, 0, len(flows))
	for i := range flows {
		keys = append(keys, flows[i].Key)
	}
	here, err := in.sync.opt.Table.Lookup(keys)
	if err != nil {
		return nil, err
	}
	known := make(map[Key]bool, len(here))
	for i := range here {
		known[here[i].Key] = true
	}
	rank := holding(o.tell.Has).rank()
	var worse []Key
	flows = slices.DeleteFunc(flows, func(flow Flow) bool {
		hash := maphash.Comparable(f.seed, flow.Key)
		was, told := f.ranks[hash]
		if known[flow.Key] && (!told || was >= rank) {
			return true
		}
		if known[flow.Key] {
			worse = append(worse, flow.Key)
		}
		f.ranks[hash] = rank
		return false
	})
	if len(f.ranks) > in.sync.opt.MaxFlows {
		return nil, fmt.Errorf("it tells more than %d flows back", in.sync.opt.MaxFlows)
	}
	if len(worse) == 0 {
		return flows, nil
	}
	return flows, in.sync.opt.Table.Remove(worse)
}

// toldAll ends what a peer told back. mu of the roles must be held.
func (in *inbound) toldAll(o *incoming) {
	o.snapshot, o.applied = nil, true
	in.sync.roles.answered(o.Name, in.name, holding(o.tell.Has))
	in.sync.tell(EventTold, in.name, o.Name, "it told the flows it has of former terms")
}
