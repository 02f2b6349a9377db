package control

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Limits of the event stream.
const (
	maxSubscribers   = 64
	subscriberBuffer = 1024
)

// A Broker hands each event to every subscriber. A subscriber that does not
// keep up loses events and is told how many; the publisher never waits.
type Broker struct {
	now     func() time.Time
	readers func(any bool)

	mu          sync.Mutex
	seq         uint64
	subscribers map[*Subscription]struct{}
}

// NewBroker returns a Broker without subscribers. readers is called when the
// first one has come, before Subscribe returns, and when the last one has gone;
// it must not call the Broker.
func NewBroker(readers func(any bool)) *Broker {
	return &Broker{now: time.Now, readers: readers, subscribers: make(map[*Subscription]struct{})}
}

// Publish numbers e, stamps it where Time is zero, and hands it to every
// subscriber that wants it. It never blocks on a reader. The values that e
// points to must not change afterwards.
func (b *Broker) Publish(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seq++
	e.Seq = b.seq
	if e.Time.IsZero() {
		e.Time = b.now()
	}
	for s := range b.subscribers {
		if s.filter.matches(e) {
			s.offer(e)
		}
	}
}

// Subscribe returns a subscription to the events published from now on; it
// must be closed. It answers CodeUnavailable when there are too many.
func (b *Broker) Subscribe(f EventFilter) (*Subscription, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.subscribers) >= maxSubscribers {
		return nil, NewError(CodeUnavailable, fmt.Sprintf("subscribe to events: %d subscribers already", maxSubscribers),
			"end one of them and ask again")
	}
	s := &Subscription{
		broker: b,
		filter: f,
		wake:   make(chan struct{}, 1),
		ring:   make([]queued, subscriberBuffer),
	}
	b.subscribers[s] = struct{}{}
	if len(b.subscribers) == 1 {
		b.readers(true)
	}
	return s, nil
}

// A Subscription is one reader's view of the events.
type Subscription struct {
	broker *Broker
	filter EventFilter
	wake   chan struct{} // holds a token while there may be something to read

	mu    sync.Mutex
	ring  []queued
	head  int    // the oldest element
	count int    // elements queued
	lost  uint64 // dropped since the newest element was queued
}

// queued is an event and how many were dropped just before it.
type queued struct {
	event Event
	lost  uint64
}

// offer queues e, or counts it as lost.
func (s *Subscription) offer(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == len(s.ring) {
		s.lost++
		return
	}
	s.ring[(s.head+s.count)%len(s.ring)] = queued{e, s.lost}
	s.count++
	s.lost = 0
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Next returns the next event, waiting for one until ctx is done. Where events
// were lost it returns an event of kind EventGap at their place.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	for {
		if e, ok := s.take(); ok {
			return e, nil
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

func (s *Subscription) take() (Event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == 0 {
		return s.gap(&s.lost)
	}
	oldest := &s.ring[s.head]
	if e, ok := s.gap(&oldest.lost); ok {
		return e, true
	}
	e := oldest.event
	*oldest = queued{} // the event's pointers must not outlive it here
	s.head = (s.head + 1) % len(s.ring)
	s.count--
	return e, true
}

// gap turns a count of lost events into an event, once.
func (s *Subscription) gap(lost *uint64) (Event, bool) {
	if *lost == 0 {
		return Event{}, false
	}
	e := Event{Kind: EventGap, Time: s.broker.now(), Lost: *lost}
	*lost = 0
	return e, true
}

// Close ends the subscription; it may be called more than once.
func (s *Subscription) Close() {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	if _, open := s.broker.subscribers[s]; !open {
		return
	}
	delete(s.broker.subscribers, s)
	if len(s.broker.subscribers) == 0 {
		s.broker.readers(false)
	}
}

// matches reports whether the filter lets e through.
func (f EventFilter) matches(e Event) bool {
	if len(f.Kinds) > 0 && !slices.Contains(f.Kinds, e.Kind) {
		return false
	}
	var backend string
	var services []string
	switch {
	case e.Flow != nil:
		backend, services = e.Flow.Backend, []string{e.Flow.Service}
	case e.Backend != nil:
		backend, services = e.Backend.Name, e.Backend.Services
	}
	if f.Backend != "" && f.Backend != backend {
		return false
	}
	return f.Service == "" || slices.Contains(services, f.Service)
}
