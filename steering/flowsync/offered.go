package flowsync

import (
	"fmt"

	"sluice/steering/flowsync/wire"
)

// room makes room for an offer of a cluster.
func (in *inbound) room(name string) error {
	for index, o := range in.offers {
		if o.Name == name {
			delete(in.offers, index)
		}
	}
	if len(in.offers) >= maxClusters {
		return fmt.Errorf("it offers more than %d clusters", maxClusters)
	}
	return nil
}

// stop ends an offer. Where all was told, what was applied is all there is.
func (in *inbound) stop(m wire.Stop) {
	o := in.offers[m.Index]
	delete(in.offers, m.Index)
	if o == nil || o.tell != nil || !o.applied || o.refused != 0 || !m.All {
		return
	}
	if f := in.sync.roles.fences[o.Name]; f != nil && f.holder == in && f.term == o.Term {
		f.parted = in.name
	}
}

// offer notes what the peer is active for.
func (in *inbound) offer(m wire.Offer) error {
	if err := in.room(m.Name); err != nil {
		return err
	}
	in.offers[m.Index] = &incoming{Offer: m, skipped: map[Skip]int{}}
	if in.taken(m.Index) == nil {
		return nil
	}
	in.sync.roles.fences[m.Name].parted = ""
	// A newer term ends what others told in older ones.
	for _, other := range in.sync.connections() {
		if other != in {
			other.recheck()
		}
	}
	return nil
}

// taken is the offer of an index if its flows are to be taken; if they are not
// any more, the peer is told.
func (in *inbound) taken(index uint16) *incoming {
	o := in.offers[index]
	if in.over || o == nil || o.refused != 0 {
		return nil
	}
	if o.refused = in.admit(o); o.refused != 0 {
		in.refuse(o)
		return nil
	}
	return o
}

// admit says whether an offer's flows are to be taken, 0 for yes.
func (in *inbound) admit(o *incoming) wire.Refusal {
	if o.tell != nil {
		return in.sync.roles.admitTell(in, o.tell)
	}
	return in.sync.roles.admit(in, o.Name, o.Term)
}

func (in *inbound) refuse(o *incoming) {
	o.snapshot, o.applied = nil, false
	in.notices.refuse(wire.Refuse{Index: o.Index, Reason: o.refused, Term: in.sync.roles.term(o.Name)})
}
