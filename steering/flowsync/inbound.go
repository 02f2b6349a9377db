package flowsync

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"sluice/steering/flowsync/seal"
	"sluice/steering/flowsync/wire"
)

// inbound is the connection by which a peer tells its flows.
type inbound struct {
	sync *Sync
	name string
	conn *seal.Conn
	// tells says that it answers who lacks flows.
	tells bool
	// ended is closed when nothing of it is imported any more.
	ended chan struct{}

	// What follows is guarded by mu of the roles.
	offers map[uint16]*incoming
	// over says that another connection took its place, or that it broke.
	over bool

	// notices are what the writer has to say.
	notices notices

	// stats is guarded by mu of the Sync.
	stats receiveStats
	seq   uint64 // the reader's
}

// incoming is a cluster whose flows a peer tells.
type incoming struct {
	wire.Offer
	refused wire.Refusal
	// lacks is what the peer itself lacks, and asks that it is to be told; then its
	// snapshot removes nothing here.
	lacks wire.Span
	asks  bool
	// tell is set where the peer is not active, but tells flows of former terms.
	tell *wire.Tell
	// snapshot is the one that runs, nil for none.
	snapshot *snapshot
	// applied says that a snapshot was applied wholly.
	applied bool
	// flows counts what the last snapshot named, skipped what was not imported
	// since it began.
	flows   int
	skipped map[Skip]int
}

// snapshot is what a snapshot named so far, by keyed hash: a collision, which
// nobody can bring about, lets an old flow live on until it expires.
type snapshot struct {
	seed  maphash.Seed
	named map[uint64]struct{}
}

func (s *snapshot) hash(k Key) uint64 { return maphash.Comparable(s.seed, k) }

// receiveStats are what is shown of receiving.
type receiveStats struct {
	since          time.Time
	ended          bool
	err            string
	flows, removed uint64
	// told is the lag the peer told last, and heard when.
	told  time.Duration
	heard time.Time
}

func newInbound(s *Sync, name string, conn *seal.Conn, hello wire.Hello) *inbound {
	now := time.Now()
	return &inbound{
		sync: s, name: name, conn: conn, tells: hello.Tells, ended: make(chan struct{}), seq: 1,
		offers: map[uint16]*incoming{}, notices: notices{wake: make(chan struct{}, 1)},
		stats: receiveStats{since: now, heard: now},
	}
}

// end makes run return, with the error where it has no other.
func (in *inbound) end(err error) {
	in.sync.roles.mu.Lock()
	in.over = true
	in.sync.roles.mu.Unlock()
	in.notices.end(err)
	in.conn.Close()
}

// run imports what comes until the connection ends, and returns why.
func (in *inbound) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	defer in.conn.Close()
	wg.Go(func() {
		if err := in.notices.write(ctx, in.conn); err != nil {
			in.end(err)
		}
	})
	in.notices.ack(in.seq, 0)
	for {
		if err := in.next(ctx); err != nil {
			return errors.Join(in.notices.reason(), err)
		}
	}
}

// next applies one record.
func (in *inbound) next(ctx context.Context) error {
	if err := in.conn.SetReadDeadline(time.Now().Add(dead)); err != nil {
		return err
	}
	b, err := in.conn.ReadRecord()
	if err != nil {
		return err
	}
	seq, messages, err := wire.Decode(b)
	if err != nil {
		return err
	}
	if seq != in.seq+1 {
		return fmt.Errorf("record %d follows %d: one is missing", seq, in.seq)
	}
	var echo uint64
	for _, m := range messages {
		if alive, ok := m.(wire.Alive); ok {
			echo = alive.Time
			in.heard(alive.Lag)
			continue
		}
		if err := in.apply(ctx, m); err != nil {
			return err
		}
	}
	in.seq = seq
	in.notices.ack(seq, echo)
	return nil
}

func (in *inbound) heard(lag time.Duration) {
	in.sync.mu.Lock()
	defer in.sync.mu.Unlock()
	in.stats.told, in.stats.heard = lag, time.Now()
}

// apply does what a message says.
func (in *inbound) apply(ctx context.Context, m wire.Message) error {
	if end, ok := m.(wire.End); ok {
		return in.complete(ctx, end.Index)
	}
	r := &in.sync.roles
	r.mu.Lock()
	defer r.mu.Unlock()
	if in.over {
		return errReplaced
	}
	switch m := m.(type) {
	case wire.Offer:
		return in.offer(m)
	case wire.Partial:
		in.partial(m)
	case wire.Tell:
		return in.tell(m)
	case wire.Stop:
		in.stop(m)
	case wire.Begin:
		if o := in.offers[m.Index]; o != nil && o.tell == nil && o.lacks == none {
			in.sync.roles.forget(in.name, o.Name, o.Term) // it lacks nothing any more
		}
		if o := in.taken(m.Index); o != nil {
			o.snapshot = &snapshot{seed: maphash.MakeSeed(), named: map[uint64]struct{}{}}
			o.applied, o.flows, o.skipped = false, 0, map[Skip]int{}
		}
	case wire.Flows:
		if o := in.taken(m.Index); o != nil {
			return in.flows(o, m)
		}
	case wire.Gone:
		if o := in.taken(m.Index); o != nil && o.tell == nil {
			return in.gone(o, m.Keys)
		}
	}
	return nil
}
