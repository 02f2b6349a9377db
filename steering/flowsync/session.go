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
