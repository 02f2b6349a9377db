package flowsync

import (
	"fmt"
	"time"

	"sluice/steering/flowsync/wire"
)

// offer tells the peer what we are active for, and what it asked for, where that
// changed.
func (s *session) offer() error {
	v := s.p.sync.roles.view.Load()
	if v == s.seen {
		return nil
	}
	if err := s.last(v); err != nil {
		return err
	}
	s.seen = v
	var messages []wire.Message
	s.p.mu.Lock()
	for name, o := range s.p.offers {
		if now := v.offered(name, s.p.Name); now == nil || !now.same(o) {
			messages = append(messages, s.withdraw(o))
			if now == nil && o.tell == nil {
				defer s.p.sync.tell(EventStopped, s.p.Name, name, fmt.Sprintf("this gateway is not active in term %d any more", o.Term))
			}
		}
	}
	for name := range v.clusters {
		if o := v.offered(name, s.p.Name); o != nil && s.p.offers[name] == nil {
			messages = s.begins(o, messages)
		}
	}
	s.stale()
	s.p.eased()
	s.p.mu.Unlock()
	if len(messages) == 0 {
		return nil
	}
	err := s.send(time.Now(), false, messages...)
	s.p.ended(s.seq)
	return err
}

// withdraw ends an offer; mu of the peer must be held.
func (s *session) withdraw(o *offered) wire.Message {
	delete(s.p.offers, o.Name)
	delete(s.p.needs, o.Name)
	s.p.restart = s.p.restart || s.walk != nil && s.walk.names[o.Name]
	return wire.Stop{Index: o.Index, All: o.complete && len(s.p.changes) == 0}
}

// last tells what changed before an offer ends, so that who takes over has it.
func (s *session) last(v *view) error {
	s.p.mu.Lock()
	leaving := false
	for name, o := range s.p.offers {
		leaving = leaving || v.offered(name, s.p.Name) == nil && o.refused == 0
	}
	s.p.mu.Unlock()
	if !leaving {
		return nil
	}
	keys, since := s.p.take()
	if keys = append(keys, s.telling...); len(keys) == 0 {
		return nil
	}
	s.telling = nil
	flows, err := s.p.sync.opt.Table.Lookup(keys)
	if err != nil {
		return fmt.Errorf("look changed flows up: %w", err)
	}
	return s.tellLooked(keys, flows, since)
}

// begins adds what begins an offer; mu of the peer must be held.
func (s *session) begins(o *offered, messages []wire.Message) []wire.Message {
	o.Index = s.next
	s.next++
	s.p.offers[o.Name] = o
	if o.tell == nil {
		s.p.need(o.Name, "it begins")
		messages = append(messages, o.Offer)
		if o.lacks != none {
			messages = append(messages, wire.Partial{Index: o.Index, Lacks: o.lacks, Told: o.told})
		}
		return messages
	}
	if o.tell.To > 0 {
		s.p.need(o.Name, "it lacks flows of former terms")
	} else {
		o.complete = true
	}
	return append(messages, wire.Tell{Index: o.Index, Term: o.Term, Has: wire.Holding(*o.tell), Name: o.Name})
}
