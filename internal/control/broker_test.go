package control

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func subscribe(t *testing.T, b *Broker, f EventFilter) *Subscription {
	t.Helper()
	s, err := b.Subscribe(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// ready returns what s holds without waiting for more.
func ready(s *Subscription) []Event {
	var events []Event
	for {
		e, ok := s.take()
		if !ok {
			return events
		}
		events = append(events, e)
	}
}

func TestBrokerFilters(t *testing.T) {
	b := NewBroker(func(bool) {})
	closed := Event{Kind: EventFlowClosed, Flow: &FlowEvent{Service: "sftp", Backend: "blue1"}}
	down := Event{Kind: EventBackendState, Backend: &BackendEvent{Name: "blue1", Services: []string{"sftp", "git"}}}
	rows := []struct {
		filter EventFilter
		want   []uint64 // numbers of the events let through
	}{
		{EventFilter{}, []uint64{1, 2}},
		{EventFilter{Kinds: []EventKind{EventFlowClosed}}, []uint64{1}},
		{EventFilter{Service: "git"}, []uint64{2}},
		{EventFilter{Service: "git", Kinds: []EventKind{EventFlowClosed}}, nil},
		{EventFilter{Backend: "blue1"}, []uint64{1, 2}},
		{EventFilter{Backend: "red"}, nil},
	}
	subscriptions := make([]*Subscription, len(rows))
	for i, row := range rows {
		subscriptions[i] = subscribe(t, b, row.filter)
	}
	b.Publish(closed)
	b.Publish(down)
	for i, row := range rows {
		var got []uint64
		for _, e := range ready(subscriptions[i]) {
			got = append(got, e.Seq)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("filter %+v (-want +got):\n%s", row.filter, diff)
		}
	}
}

// TestBrokerCountsWhatASlowReaderLoses fills a buffer twice over and reads it
// in two goes: the gap stands where the events are missing, with their number.
func TestBrokerCountsWhatASlowReaderLoses(t *testing.T) {
	b := NewBroker(func(bool) {})
	slow := subscribe(t, b, EventFilter{})
	quick := subscribe(t, b, EventFilter{Kinds: []EventKind{EventBackendState}})
	for range subscriberBuffer + 7 {
		b.Publish(Event{Kind: EventFlowClosed})
	}
	if e, ok := slow.take(); !ok || e.Seq != 1 {
		t.Fatalf("first event is %+v", e)
	}
	b.Publish(Event{Kind: EventBackendState})
	rest := ready(slow)
	if got, want := len(rest), subscriberBuffer-1+2; got != want {
		t.Fatalf("%d events left, want %d", got, want)
	}
	gap, last := rest[len(rest)-2], rest[len(rest)-1]
	if gap.Kind != EventGap || gap.Lost != 7 {
		t.Errorf("got %+v, want a gap of 7", gap)
	}
	if want := uint64(subscriberBuffer + 7 + 1); last.Seq != want {
		t.Errorf("event after the gap has number %d, want %d", last.Seq, want)
	}
	if got := ready(quick); len(got) != 1 || got[0].Kind != EventBackendState {
		t.Errorf("the other reader got %+v", got)
	}
}

func TestBrokerTellsOfAGapAtTheEnd(t *testing.T) {
	b := NewBroker(func(bool) {})
	s := subscribe(t, b, EventFilter{})
	for range subscriberBuffer + 1 {
		b.Publish(Event{Kind: EventFlowClosed})
	}
	events := ready(s)
	if last := events[len(events)-1]; last.Kind != EventGap || last.Lost != 1 {
		t.Errorf("last is %+v, want a gap of 1", last)
	}
	if more := ready(s); more != nil {
		t.Errorf("the gap was told twice: %+v", more)
	}
}

func TestBrokerBoundsSubscribers(t *testing.T) {
	b := NewBroker(func(bool) {})
	var first *Subscription
	for range maxSubscribers {
		s := subscribe(t, b, EventFilter{})
		if first == nil {
			first = s
		}
	}
	if _, err := b.Subscribe(EventFilter{}); !IsCode(err, CodeUnavailable) {
		t.Errorf("error %v, want one of code unavailable", err)
	}
	first.Close()
	first.Close()
	subscribe(t, b, EventFilter{})
}

func TestSubscriptionNextEndsWithContext(t *testing.T) {
	s := subscribe(t, NewBroker(func(bool) {}), EventFilter{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// TestBrokerConcurrently lets readers, publishers and subscribers meet under
// the race detector; each reader accounts for every event.
func TestBrokerConcurrently(t *testing.T) {
	const publishers, events = 4, 2000
	b := NewBroker(func(bool) {})
	var readers, writers sync.WaitGroup
	for range 3 {
		s := subscribe(t, b, EventFilter{})
		readers.Go(func() {
			var seen uint64
			for seen < publishers*events {
				e, err := s.Next(context.Background())
				if err != nil {
					t.Error(err)
					return
				}
				if e.Kind == EventGap {
					seen += e.Lost
				} else {
					seen++
				}
			}
			if seen != publishers*events {
				t.Errorf("accounted for %d events of %d", seen, publishers*events)
			}
		})
	}
	for range publishers {
		writers.Go(func() {
			for range events {
				b.Publish(Event{Kind: EventFlowClosed})
			}
		})
	}
	writers.Wait()
	readers.Wait()
}

// Whoever makes events hears of the first reader before it waits for any, and of
// the last one's leaving once.
func TestBrokerTellsOfReaders(t *testing.T) {
	var heard []bool
	b := NewBroker(func(any bool) { heard = append(heard, any) })
	first, second := subscribe(t, b, EventFilter{}), subscribe(t, b, EventFilter{})
	first.Close()
	first.Close()
	second.Close()
	subscribe(t, b, EventFilter{})
	if want := []bool{true, false, true}; !slices.Equal(heard, want) {
		t.Errorf("heard %v, not %v", heard, want)
	}
}
