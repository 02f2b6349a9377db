package steering

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"sluice/loader"
)

// EventKind is what happened.
type EventKind string

// The kinds of events.
const (
	EventFlowEstablished EventKind = "flow_established"
	EventFlowClosed      EventKind = "flow_closed"
	EventFlowRevived     EventKind = "flow_revived"
	EventFlowRefused     EventKind = "flow_refused"
	EventBackendState    EventKind = "backend_state"
	EventDrainProgress   EventKind = "drain_progress"
)

// Event is something that happened to a flow or a backend.
type Event struct {
	// Seq numbers the events of a Table from 1. A subscriber that was too slow
	// finds a number missing.
	Seq  uint64
	Time time.Time
	Kind EventKind
	// Service and Backend are names; a flow that was refused may have no
	// backend, a backend's event has no one service.
	Service, Backend string
	BackendAddr      netip.AddrPort
	// Client, Listen, Source and Reason are about flows. Source is what the
	// backend sees, Reason the drop reason of a refused one.
	Client, Listen, Source netip.AddrPort
	Reason                 string
	// Connection is the id that its PROXY header names a flow by, empty without
	// one.
	Connection string
	// StateWas and State are of a backend; they are equal where only its drain
	// went on, and Drain is how far.
	StateWas, State State
	Drain           *Drain
}

// Subscription delivers events until it is closed.
type Subscription struct {
	feed   *feed
	events chan Event
}

// Events delivers the events. It is closed by Close.
func (s *Subscription) Events() <-chan Event { return s.events }

// Close ends the subscription. It may be called twice.
func (s *Subscription) Close() {
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	if _, open := s.feed.subscribers[s]; open {
		delete(s.feed.subscribers, s)
		close(s.events)
	}
}

// Subscribe returns the events from now on. Those that come while buffer of
// them wait to be read are lost to this subscriber, who sees it by Seq.
func (t *Table) Subscribe(buffer int) *Subscription {
	s := &Subscription{feed: &t.feed, events: make(chan Event, max(1, buffer))}
	t.feed.mu.Lock()
	defer t.feed.mu.Unlock()
	if t.feed.subscribers == nil {
		t.feed.subscribers = map[*Subscription]struct{}{}
	}
	t.feed.subscribers[s] = struct{}{}
	return s
}

// SetFlowEvents says whether anybody wants to know of flows. While nobody does,
// the dataplane is spared the work: subscribers then get no event of a flow.
func (t *Table) SetFlowEvents(wanted bool) error { return t.dp.SetFlowEvents(wanted) }

// SetFlowChanges has f called for each flow that is established, settled, closed or
// revived: with the service's VIP and port, and the client. It must not block; nil
// calls nobody. It wants SetFlowEvents.
func (t *Table) SetFlowChanges(f func(listen, client netip.AddrPort)) {
	if f == nil {
		t.flowChanges.Store(nil)
		return
	}
	t.flowChanges.Store(&f)
}

// feed hands events to subscribers and waits for none of them.
type feed struct {
	now func() time.Time

	mu          sync.Mutex
	seq         uint64
	subscribers map[*Subscription]struct{}
}

func (f *feed) send(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq++
	e.Seq = f.seq
	if e.Time.IsZero() {
		e.Time = f.now()
	}
	for s := range f.subscribers {
		select {
		case s.events <- e:
		default:
		}
	}
}

// drain tells how far a drain has come.
func (f *feed) drain(m *model, addr netip.AddrPort, d Drain) {
	b := m.backends[addr]
	f.send(Event{
		Kind: EventDrainProgress, Backend: b.name, BackendAddr: addr,
		StateWas: b.state, State: b.state, Drain: &d,
	})
}

// announce tells which backends changed their state.
func (t *Table) announce(have, want *model) {
	for _, addr := range slices.SortedFunc(maps.Keys(want.backends), netip.AddrPort.Compare) {
		b, was := want.backends[addr], have.backends[addr]
		if was.state == b.state {
			continue
		}
		t.log.Info("backend state", "backend", b.name, "addr", addr, "was", was.state, "state", b.state, "reason", b.reason)
		t.feed.send(Event{
			Kind: EventBackendState, Backend: b.name, BackendAddr: addr,
			StateWas: was.state, State: b.state, Reason: b.reason,
		})
	}
}

// followEvents passes the dataplane's events on until ctx is done. The reader
// itself ends when the dataplane closes: nothing else wakes it.
func (t *Table) followEvents(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- t.readEvents() }()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-failed:
		return err
	}
}

func (t *Table) readEvents() error {
	for {
		e, err := t.dp.ReadEvent()
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if e.Kind == loader.EventNeighbour {
			t.opt.Resolver.Want(e.Client.Addr(), e.Interface)
			continue
		}
		if _, told := flowEvents[e.Kind]; told {
			t.feed.send(t.named(e))
		}
		if changes := t.flowChanges.Load(); changes != nil && e.Kind != loader.EventRefused {
			(*changes)(t.model.Load().services[e.Service].record.Listen, e.Client)
		}
	}
}

// flowEvents are the kinds that are about a flow.
var flowEvents = map[loader.EventKind]EventKind{
	loader.EventEstablished: EventFlowEstablished,
	loader.EventClosed:      EventFlowClosed,
	loader.EventRevived:     EventFlowRevived,
	loader.EventRefused:     EventFlowRefused,
}

// named gives the ids of an event their names.
func (t *Table) named(e loader.Event) Event {
	m := t.model.Load()
	s, mem := m.services[e.Service], m.members[e.Member]
	return Event{
		Kind: flowEvents[e.Kind], Time: t.opt.now().Add(e.Time - t.opt.monotonic()),
		Service: s.name, Listen: s.record.Listen,
		Backend: m.backends[mem.record.Addr].name, BackendAddr: mem.record.Addr,
		Client: e.Client, Source: e.Source, Reason: e.Reason, Connection: e.ID.String(),
	}
}
