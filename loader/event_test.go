package loader_test

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/nettest/frame"
	"sluice/loader"
)

// listenTo reads events until the dataplane is closed. Neighbours are left out:
// they depend on what the kernel has resolved.
func listenTo(t *testing.T, dp *loader.Dataplane) <-chan loader.Event {
	t.Helper()
	events := make(chan loader.Event, 1000)
	done := make(chan error, 1)
	go func() {
		defer close(events)
		for {
			e, err := dp.ReadEvent()
			if err != nil {
				done <- err
				return
			}
			if e.Kind != loader.EventNeighbour {
				events <- e
			}
		}
	}()
	t.Cleanup(func() {
		dp.Close()
		if err := <-done; !errors.Is(err, os.ErrClosed) {
			t.Errorf("the reader of events ended by %v, want os.ErrClosed", err)
		}
	})
	return events
}

func next(t *testing.T, events <-chan loader.Event) loader.Event {
	t.Helper()
	select {
	case e, ok := <-events:
		if !ok {
			t.Fatal("no more events")
		}
		return e
	case <-time.After(patience):
		t.Fatal("no event came")
	}
	return loader.Event{}
}

// Every connection is told of once when it is established and once when it is
// closed, or once when it is refused, by name and address.
func TestEvents(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"hide v4", "keep v6", "dsr v6"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, shapes()[name])
			events := listenTo(t, g.dp)
			start := monotonic(t)
			c, label := g.dial(t)
			f, ok := find(t, g.dp, client(c))
			if !ok {
				t.Fatal("the connection has no flow")
			}
			want := loader.Event{
				Kind: loader.EventEstablished, Service: testService,
				Member: loader.MemberID(label[1] - '0'), Client: client(c), Source: f.Source,
			}
			if g.service.KeepClient {
				want.Source = want.Client
			}
			got := next(t, events)
			if diff := cmp.Diff(want, got, byValue, cmpopts.IgnoreFields(loader.Event{}, "Time")); diff != "" {
				t.Errorf("event differs (-want +got):\n%s", diff)
			}
			if got.Time < start || got.Time > monotonic(t) {
				t.Errorf("the event says %s, it was between %s and now", got.Time, start)
			}
			// A reset: in dsr the backend's FIN goes by another way.
			reset(t, c)
			want.Kind = loader.EventClosed
			if diff := cmp.Diff(want, next(t, events), byValue, cmpopts.IgnoreFields(loader.Event{}, "Time")); diff != "" {
				t.Errorf("event differs (-want +got):\n%s", diff)
			}

			wantRefusal(t, g, events)
		})
	}
}

// wantRefusal has a connection refused and fails the test unless that is told
// of, and nothing else.
func wantRefusal(t *testing.T, g *gateway, events <-chan loader.Event) {
	t.Helper()
	ring, err := g.dp.Ring(testService)
	must(t, err)
	for i := range loader.RingEntries {
		ring.Set(i, 0)
	}
	const port = 45678
	_, err = g.tryDial(t.Context(), port)
	wantError(t, err, "refused")
	want := loader.Event{
		Kind: loader.EventRefused, Reason: "no_backend", Service: testService,
		Client: netip.AddrPortFrom(g.ClientAddr.Like(g.listen.Addr()), port),
	}
	if diff := cmp.Diff(want, next(t, events), byValue, cmpopts.IgnoreFields(loader.Event{}, "Time")); diff != "" {
		t.Errorf("event differs (-want +got):\n%s", diff)
	}
	select {
	case e := <-events:
		t.Errorf("one event too many: %+v", e)
	default:
	}
}

// What finds the ring buffer full is counted and not waited for.
func TestEventsLost(t *testing.T) {
	t.Parallel()
	n, o := alone(t)
	dp := openIn(t, n, o)
	listen, index := serveOn(t, dp, n, loader.ModeDSR)
	// 1 MiB of records of 72 bytes and 8 of the kernel's.
	const fits, count = 1 << 20 / 80, 20_000
	must(t, n.Do(func() error {
		p := newFeeder(dp.Steer(), index, frame.Frame{Src: netip.MustParseAddrPort("198.51.100.1:1"), Dst: listen, Flags: frame.SYN})
		defer p.close()
		for i := range count {
			p.from(netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), uint16(i)))
			if v, err := p.run(false); err != nil || v != xdpTX {
				t.Fatalf("verdict %d (%v), want the SYN refused by a reset", v, err)
			}
		}
		return nil
	}))
	lost, err := dp.EventsLost()
	must(t, err)
	if lost != count-fits {
		t.Errorf("%d of %d events are counted as lost; %d fit", lost, count, fits)
	}
	counters, err := dp.ServiceCounters()
	must(t, err)
	if c := counters[testService].Refused; c != count {
		t.Errorf("%d connections are counted as refused, %d were", c, count)
	}
	must(t, dp.Close())
	dp = openIn(t, n, o)
	if again, err := dp.EventsLost(); err != nil || again != lost {
		t.Errorf("after adoption %d events are counted as lost (%v), %d before", again, err, lost)
	}
	for i := range fits {
		e, err := dp.ReadEvent()
		must(t, err)
		if e.Kind != loader.EventRefused || e.Client.Port() != uint16(i) {
			t.Fatalf("event %d is %+v", i, e)
		}
	}
}
