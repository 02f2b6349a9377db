package flowsync

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"sluice/steering/flowsync/seal"
	"sluice/steering/flowsync/wire"
)

// peer is another gateway that we send to.
type peer struct {
	Peer
	sync *Sync
	// full wakes who flushes before it is time; room, who waits for acknowledgements;
	// there, who waits before he dials again: the peer has connected.
	full, room, there chan struct{}

	mu sync.Mutex
	// offers are the clusters it was told on this connection, nil without one.
	offers map[string]*offered
	// changes are keys of flows that changed. oldest is when the first of them did,
	// or of those that a snapshot is to tell instead; zero for none.
	changes map[Key]struct{}
	oldest  time.Time
	// needs are the clusters it must get a snapshot of, and why.
	needs map[string]string
	// restart ends a snapshot that was overtaken.
	restart bool
	flight  flight
	stats   sendStats
}

// offered is a cluster whose flows a peer gets.
type offered struct {
	wire.Offer
	// lacks is what this node itself lacks, told that the peer told all it had.
	lacks wire.Span
	told  bool
	// tell is set where this node tells flows of former terms, and what it has.
	// They are told once the record ends is acknowledged.
	tell    *holding
	ends    uint64
	refused wire.Refusal
	// theirs is the term a refusal named.
	theirs uint64
	// complete says that a snapshot was sent wholly; sent is how many flows of it.
	complete bool
	sent     int
}

// sendStats are what is shown of sending.
type sendStats struct {
	connected                   bool
	since                       time.Time
	err                         string
	rtt                         time.Duration
	flows, gone                 uint64
	connects, resyncs, overflow uint64
}

func newPeer(s *Sync, p Peer) *peer {
	return &peer{
		Peer: p, sync: s, full: make(chan struct{}, 1), room: make(chan struct{}, 1), there: make(chan struct{}, 1),
		changes: map[Key]struct{}{}, needs: map[string]string{},
		stats: sendStats{since: time.Now()},
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

const (
	backoffFirst = 100 * time.Millisecond
	backoffMost  = 5 * time.Second
	// flushAt is how many changes are about 64 KiB.
	flushAt = 800
)

// run keeps a connection to the peer.
func (p *peer) run(ctx context.Context) {
	backoff := backoffFirst
	for ctx.Err() == nil {
		began := time.Now()
		err := p.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		p.closed(err)
		if time.Since(began) > backoffMost {
			backoff = backoffFirst
		}
		pause := backoff/2 + rand.N(backoff)
		backoff = min(2*backoff, backoffMost)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		case <-p.there:
			backoff = backoffFirst
		}
	}
}

// connect returns why there is no connection any more.
func (p *peer) connect(ctx context.Context) error {
	dialling, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	raw, err := p.Dial(dialling)
	if err != nil {
		return err
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	if err := raw.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return err
	}
	conn, err := seal.Dial(raw, p.sync.opt.Key, p.sync.opt.Self, p.Name)
	if err != nil {
		return err
	}
	return newSession(p, conn).run(ctx)
}

func (p *peer) opened() {
	p.mu.Lock()
	p.offers = map[string]*offered{}
	clear(p.needs)
	clear(p.changes)
	p.restart, p.oldest, p.flight = false, time.Time{}, flight{}
	p.stats.connected, p.stats.since, p.stats.err = true, time.Now(), ""
	p.stats.connects++
	p.mu.Unlock()
	p.sync.tell(EventConnected, p.Name, "", "")
}

func (p *peer) closed(err error) {
	p.mu.Lock()
	was := p.stats.connected
	if was {
		p.stats.since = time.Now()
	}
	p.offers, p.stats.connected, p.stats.err = nil, false, err.Error()
	p.changes, p.oldest, p.flight = map[Key]struct{}{}, time.Time{}, flight{}
	p.mu.Unlock()
	if was {
		select {
		case <-p.there: // it connected when we did: that says nothing of now
		default:
		}
		p.sync.tell(EventDisconnected, p.Name, "", err.Error())
	}
}

// changed notes a key. Without a connection there is nothing to note: the
// snapshot has it.
func (p *peer) changed(cluster string, key Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.offers[cluster]; o == nil || o.refused != 0 || o.tell != nil {
		return
	}
	if p.oldest.IsZero() {
		p.oldest = time.Now()
	}
	p.changes[key] = struct{}{}
	switch n := len(p.changes); {
	case n > p.sync.opt.MaxChanges:
		p.stats.overflow++
		p.resyncLocked(fmt.Sprintf("more than %d flows changed before they could be told", p.sync.opt.MaxChanges))
	case n == flushAt:
		poke(p.full)
	}
}

func (p *peer) resync(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resyncLocked(why)
}

func (p *peer) resyncLocked(why string) {
	if len(p.offers) == 0 {
		return
	}
	if p.oldest.IsZero() {
		p.oldest = time.Now()
	}
	p.changes, p.restart = map[Key]struct{}{}, true
	for name := range p.offers {
		p.need(name, why)
	}
	p.eased()
}

// eased forgets since when something waits where nothing does; mu must be held.
func (p *peer) eased() {
	if len(p.changes) == 0 && len(p.needs) == 0 {
		p.oldest = time.Time{}
	}
}

// need asks for a snapshot; mu must be held.
func (p *peer) need(cluster, why string) {
	if o := p.offers[cluster]; o != nil && o.refused == 0 {
		o.complete, o.sent = false, 0
		p.needs[cluster] = why
	}
}

// take takes the changed keys away to be told. since is when the oldest of them
// changed.
func (p *peer) take() (keys []Key, since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.changes) == 0 {
		return nil, time.Time{}
	}
	keys, since = slices.AppendSeq(make([]Key, 0, len(p.changes)), maps.Keys(p.changes)), p.oldest
	clear(p.changes)
	p.eased()
	return keys, since
}
