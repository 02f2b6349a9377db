package flowsync

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sluice/steering/flowsync/seal"
	"sluice/steering/flowsync/wire"
)

// session is one connection that flows are sent by. Its fields are those of the
// goroutine that writes.
type session struct {
	p    *peer
	conn *seal.Conn
	seq  uint64
	rec  wire.Record
	next uint16 // index of an offer

	seen  *view // that offers were last compared with
	alive time.Time
	walk  *walk
	// touched are keys told since the batch before was read: what a batch says of
	// them is older.
	touched map[Key]struct{}
	// open are keys whose PROXY header was open when they were to be told.
	open map[Key]struct{}
	// refreshed and snapped are when the last pass and the last snapshot began.
	refreshed, snapped time.Time
	// telling are changed keys that are being told.
	telling []Key
	wg      sync.WaitGroup
}

func newSession(p *peer, conn *seal.Conn) *session {
	return &session{p: p, conn: conn, touched: map[Key]struct{}{}, open: map[Key]struct{}{}, refreshed: time.Now()}
}

const (
	// window bounds the records of a snapshot that wait for acknowledgement, so
	// that a change never has to wait for more than these.
	window = 32
	// maxFlight bounds all records that do.
	maxFlight = 1 << 16
)

// run returns why the connection ended.
func (s *session) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.wg.Wait()
	defer s.conn.Close()
	defer cancel()
	if err := s.send(time.Now(), false, wire.Hello{Tells: true}); err != nil {
		return err
	}
	failed := make(chan error, 1)
	s.wg.Go(func() { failed <- s.p.listen(s.conn) })
	s.p.opened()
	flush := time.NewTicker(flushEach)
	defer flush.Stop()
	for {
		if err := s.step(ctx, flush.C, failed); err != nil {
			return err
		}
	}
}

// step does one thing; changes come before a snapshot.
func (s *session) step(ctx context.Context, flush <-chan time.Time, failed <-chan error) error {
	select {
	case <-flush:
		return s.tick(ctx)
	default:
	}
	batches, done := s.walk.channels()
	if s.p.crowded() {
		batches = nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-failed:
		return err
	case <-flush:
		return s.tick(ctx)
	case <-s.p.full:
		return s.flush()
	case <-s.p.room:
		return nil
	case flows := <-batches:
		return s.batch(flows)
	case err := <-done:
		return s.walked(err)
	}
}

func (p *peer) crowded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.flight.snapshot >= window
}

func (s *session) tick(ctx context.Context) error {
	if err := s.flush(); err != nil {
		return err
	}
	now := time.Now()
	if err := s.begin(ctx, now); err != nil {
		return err
	}
	if now.Sub(s.alive) < aliveEach {
		return nil
	}
	s.alive = now
	s.p.mu.Lock()
	lag := s.p.lag(now)
	s.p.mu.Unlock()
	return s.send(now, false, wire.Alive{Time: uint64(now.UnixNano()), Lag: lag})
}

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

// stale ends a walk that was overtaken; mu of the peer must be held.
func (s *session) stale() {
	if s.p.restart && s.walk != nil {
		for name := range s.walk.names {
			s.p.need(name, "it was overtaken")
		}
		s.walk.cancel()
		s.walk = nil
	}
	s.p.restart = false
}

// send sends messages as records of their own.
func (s *session) send(since time.Time, snapshot bool, messages ...wire.Message) error {
	s.rec.Reset(s.seq + 1)
	for _, m := range messages {
		if s.rec.Add(m) {
			continue
		}
		if err := s.write(since, snapshot); err != nil {
			return err
		}
		s.rec.Reset(s.seq + 1)
		s.rec.Add(m)
	}
	return s.write(since, snapshot)
}

// write sends the record that was filled.
func (s *session) write(since time.Time, snapshot bool) error {
	s.p.mu.Lock()
	s.seq++
	s.p.flight.add(record{seq: s.seq, since: since, snapshot: snapshot})
	n := len(s.p.flight.records)
	s.p.mu.Unlock()
	if n > maxFlight {
		return fmt.Errorf("it acknowledges nothing: %d records wait", n)
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(dead)); err != nil {
		return err
	}
	return s.conn.WriteRecord(s.rec.Bytes())
}
