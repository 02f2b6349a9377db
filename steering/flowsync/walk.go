package flowsync

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"sluice/steering/flowsync/wire"
)

// walk is one pass over the table for a peer: a snapshot, or a refresh.
type walk struct {
	origin wire.Origin
	names  map[string]bool // of clusters
	// idle is the longest silence of a flow that a refresh tells.
	idle   time.Duration
	rate   int
	cancel context.CancelFunc

	// batches hands flows over; the pass goes on once they were taken.
	batches chan []Flow
	taken   chan struct{}
	done    chan error
}

// channels are nil, which blocks for ever, while there is no walk.
func (w *walk) channels() (<-chan []Flow, <-chan error) {
	if w == nil {
		return nil, nil
	}
	return w.batches, w.done
}

const (
	// snapshotPause is the least time between the beginnings of two snapshots.
	snapshotPause = 500 * time.Millisecond
	// tickMargin is by how much an idle time may be wrong: tables count coarsely.
	tickMargin = 3 * time.Second
)

// begin begins the pass that is due.
func (s *session) begin(ctx context.Context, now time.Time) error {
	p := s.p
	p.mu.Lock()
	s.stale()
	snapshot := len(p.needs) > 0 && now.Sub(s.snapped) >= snapshotPause
	if snapshot && s.walk != nil && s.walk.origin == wire.OriginRefresh {
		s.walk.cancel()
		s.walk = nil
	}
	w := &walk{origin: wire.OriginSnapshot, names: map[string]bool{}, rate: p.sync.opt.SnapshotRate}
	var messages []wire.Message
	switch {
	case s.walk != nil:
	case snapshot:
		s.snapped = now
		messages = p.beginSnapshot(w, messages)
	case len(p.needs) == 0 && now.Sub(s.refreshed) >= p.sync.opt.Refresh:
		w.origin, w.rate, w.idle = wire.OriginRefresh, p.sync.opt.RefreshRate, now.Sub(s.refreshed)+tickMargin
		for name, o := range p.offers {
			w.names[name] = o.refused == 0
		}
		s.refreshed = now
	}
	p.mu.Unlock()
	if len(w.names) == 0 {
		return nil
	}
	if len(messages) > 0 {
		if err := s.send(now, true, messages...); err != nil {
			return err
		}
	}
	s.start(ctx, w)
	return nil
}

// beginSnapshot makes the needs those of a walk; mu must be held.
func (p *peer) beginSnapshot(w *walk, messages []wire.Message) []wire.Message {
	for _, name := range slices.Sorted(maps.Keys(p.needs)) {
		if o := p.offers[name]; o != nil && o.refused == 0 {
			w.names[name] = true
			messages = append(messages, wire.Begin{Index: o.Index})
			p.stats.resyncs++
			defer p.sync.tell(EventSnapshot, p.Name, name, p.needs[name])
		}
	}
	p.needs = map[string]string{}
	p.eased()
	return messages
}

func (s *session) start(ctx context.Context, w *walk) {
	ctx, w.cancel = context.WithCancel(ctx)
	w.batches, w.taken, w.done = make(chan []Flow), make(chan struct{}, 1), make(chan error, 1)
	s.walk = w
	clear(s.touched)
	s.wg.Go(func() {
		defer w.cancel()
		w.done <- w.read(ctx, s.p.sync.opt.Table)
	})
}

// read reads the table no faster than the rate.
func (w *walk) read(ctx context.Context, table Table) error {
	began, n := time.Now(), 0
	return table.Each(ctx, func(flows []Flow) error {
		select {
		case w.batches <- flows:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-w.taken:
		case <-ctx.Done():
			return ctx.Err()
		}
		n += len(flows)
		ahead := time.Duration(float64(n)/float64(w.rate)*float64(time.Second)) - time.Since(began)
		if ahead <= 0 {
			return nil
		}
		select {
		case <-time.After(ahead):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// batch sends what a walk read.
func (s *session) batch(flows []Flow) error {
	if err := s.offer(); err != nil || s.walk == nil {
		return err
	}
	by := map[*offered]*told{}
	for i := range flows {
		f := &flows[i]
		if _, newer := s.touched[f.Key]; newer {
			continue
		}
		o := s.offerOf(f.Key)
		if o == nil || !s.walk.names[o.Name] || s.walk.origin == wire.OriginRefresh && f.Idle > s.walk.idle || o.tell != nil && f.HeaderOpen || !s.tellable(f) {
			continue
		}
		t := of(by, o)
		t.flows = append(t.flows, *f)
	}
	now := time.Now()
	for o, t := range by {
		if o.tell != nil {
			t.flows = s.p.sync.roles.owed(s.p.Name, o, t.flows)
		}
		n := len(t.flows)
		for len(t.flows) > 0 {
			s.rec.Reset(s.seq + 1)
			t.flows = s.rec.AddFlows(o.Index, s.walk.origin, t.flows)
			if err := s.write(now, true); err != nil {
				return err
			}
		}
		s.p.count(n, 0)
		s.p.mu.Lock()
		o.sent += n
		s.p.mu.Unlock()
	}
	clear(s.touched)
	s.walk.taken <- struct{}{}
	return nil
}

// walked completes a pass.
func (s *session) walked(err error) error {
	if err := s.offer(); err != nil || s.walk == nil {
		return err
	}
	w := s.walk
	s.walk = nil
	if err != nil {
		return fmt.Errorf("read the flow table: %w", err)
	}
	if w.origin == wire.OriginRefresh {
		return nil
	}
	s.refreshed = s.snapped
	var messages []wire.Message
	s.p.mu.Lock()
	for name := range w.names {
		// One that is needed again was overtaken.
		if o := s.p.offers[name]; o != nil && o.refused == 0 && s.p.needs[name] == "" {
			o.complete = true
			messages = append(messages, wire.End{Index: o.Index})
		}
	}
	s.p.mu.Unlock()
	if len(messages) == 0 {
		return nil
	}
	err = s.send(time.Now(), true, messages...)
	s.p.ended(s.seq)
	return err
}
