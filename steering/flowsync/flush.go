package flowsync

import (
	"fmt"
	"time"

	"sluice/steering/flowsync/wire"
)

const (
	// lookupBatch is how many keys are looked up at once.
	lookupBatch = 512
	// openBatch bounds how many open headers are looked at again in one flush.
	openBatch = 1024
)

// flush tells what changed. It is looked up now: of several changes of a flow
// only the last is told.
func (s *session) flush() error {
	if err := s.offer(); err != nil {
		return err
	}
	keys, since := s.p.take()
	for key := range s.open {
		if len(keys) == 0 {
			since = time.Now()
		}
		keys = append(keys, key)
		if delete(s.open, key); len(keys) >= openBatch {
			break
		}
	}
	for len(keys) > 0 {
		n := min(len(keys), lookupBatch)
		if err := s.change(keys[:n], since); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// told is what a record tells of one cluster.
type told struct {
	flows []Flow
	gone  []Key
}

func (s *session) change(keys []Key, since time.Time) error {
	s.telling = keys
	flows, err := s.lookup(keys)
	s.telling = nil
	if err != nil {
		return err
	}
	return s.tellLooked(keys, flows, since)
}

// tellLooked tells flows that were looked up by keys, and that the others are no more.
func (s *session) tellLooked(keys []Key, flows []Flow, since time.Time) error {
	missing := make(map[Key]bool, len(keys))
	for _, key := range keys {
		missing[key] = true
	}
	by := map[*offered]*told{}
	for i := range flows {
		key := flows[i].Key
		delete(missing, key)
		if o := s.offerOf(key); o != nil && o.tell == nil && s.tellable(&flows[i]) {
			t := of(by, o)
			t.flows = append(t.flows, flows[i])
			s.touch(key)
		}
	}
	for key := range missing {
		if o := s.offerOf(key); o != nil && o.tell == nil {
			t := of(by, o)
			t.gone = append(t.gone, key)
			s.touch(key)
		}
	}
	return s.tellChanges(by, since)
}

// lookup returns flows as they are in the terms that the peer was told.
func (s *session) lookup(keys []Key) ([]Flow, error) {
	for {
		told := s.seen
		flows, err := s.p.sync.opt.Table.Lookup(keys)
		if err != nil {
			return nil, fmt.Errorf("look changed flows up: %w", err)
		}
		if err := s.offer(); err != nil || s.seen == told {
			return flows, err
		}
	}
}

func of(by map[*offered]*told, o *offered) *told {
	if by[o] == nil {
		by[o] = &told{}
	}
	return by[o]
}

// tellable keeps flows with an open header back, to be looked at again.
func (s *session) tellable(f *Flow) bool {
	if !f.HeaderOpen {
		return true
	}
	if len(s.open) < s.p.sync.opt.MaxChanges {
		s.open[f.Key] = struct{}{}
	} else {
		// The next pass finds it.
		s.refreshed = time.Time{}
	}
	return false
}

// touch notes what was told while a walk reads.
func (s *session) touch(key Key) {
	if s.walk != nil {
		s.touched[key] = struct{}{}
	}
}

// offerOf is the offer that a flow belongs to, nil for none that the peer takes.
func (s *session) offerOf(key Key) *offered {
	c := s.seen.byVIP[key.Service.Addr()]
	if c == nil {
		return nil
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if o := s.p.offers[c.Name]; o != nil && o.refused == 0 {
		return o
	}
	return nil
}

func (s *session) tellChanges(by map[*offered]*told, since time.Time) error {
	s.rec.Reset(s.seq + 1)
	flows, gone := 0, 0
	for o, t := range by {
		flows, gone = flows+len(t.flows), gone+len(t.gone)
		for len(t.flows) > 0 || len(t.gone) > 0 {
			t.flows = s.rec.AddFlows(o.Index, wire.OriginChange, t.flows)
			t.gone = s.rec.AddGone(o.Index, t.gone)
			if len(t.flows) == 0 && len(t.gone) == 0 {
				break
			}
			if err := s.write(since, false); err != nil {
				return err
			}
			s.rec.Reset(s.seq + 1)
		}
	}
	s.p.count(flows, gone)
	if s.rec.Empty() {
		return nil
	}
	return s.write(since, false)
}

func (p *peer) count(flows, gone int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.flows += uint64(flows)
	p.stats.gone += uint64(gone)
}
