package flowsync

import "sluice/steering/flowsync/wire"

// reviewInbound asks again what was refused and would be taken now, and refuses
// what was taken and no longer is.
func (s *Sync) reviewInbound() {
	s.roles.mu.Lock()
	defer s.roles.mu.Unlock()
	all := s.connections()
	// First who is to lose something, then who is to get it.
	for _, in := range all {
		in.recheck()
	}
	for _, in := range all {
		in.reconsider()
	}
}

// recheck refuses what is no longer taken. mu of the roles must be held.
func (in *inbound) recheck() {
	for index := range in.offers {
		in.taken(index)
	}
}

// reconsider asks for what was refused and would be taken now. mu of the roles
// must be held.
func (in *inbound) reconsider() {
	if in.over {
		return
	}
	for _, o := range in.offers {
		if o.refused == 0 || o.tell != nil {
			continue // who tells back is asked by an offer
		}
		was := o.refused
		if o.refused = in.admit(o); o.refused == 0 {
			in.notices.want(o.Name)
		} else if o.refused != was {
			in.notices.refuse(wire.Refuse{Index: o.Index, Reason: o.refused, Term: in.sync.roles.term(o.Name)})
		}
	}
}

// askSkipped asks again for clusters of which flows were skipped. mu of the
// roles must be held.
func (in *inbound) askSkipped() {
	for index, o := range in.offers {
		if len(o.skipped) > 0 && o.tell == nil && in.taken(index) != nil {
			in.notices.want(o.Name)
		}
	}
}
