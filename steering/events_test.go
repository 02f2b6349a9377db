package steering

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/loader"
)

// received returns what waits for a subscriber.
func received(s *Subscription) (list []Event) {
	for {
		select {
		case e := <-s.Events():
			list = append(list, e)
		default:
			return list
		}
	}
}

func TestBackendEvents(t *testing.T) {
	r := newRig(t)
	s := r.table.Subscribe(100)
	defer s.Close()
	r.apply(serving("b1", "b2"))
	r.up("b1", "b2")
	r.down("b2")
	r.flow(vip)
	r.drain(named("b1"), DrainOptions{Yes: true})
	r.ticks(2 * time.Second)
	for k := range r.dp.flows {
		r.dp.fin(k.client, vip)
	}
	r.ticks(3 * time.Second)
	r.apply(serving("b2"))
	var got []string
	for i, e := range received(s) {
		if e.Seq != uint64(i+1) || e.Time.IsZero() {
			t.Errorf("event %d is %+v", i, e)
		}
		text := fmt.Sprintf("%s %s %s→%s %s", e.Kind, e.Backend, e.StateWas, e.State, e.Reason)
		if e.Drain != nil {
			text += fmt.Sprintf("%d left", e.Drain.Flows)
		}
		got = append(got, text)
	}
	want := []string{
		"backend_state b1 →down not checked yet",
		"backend_state b2 →down not checked yet",
		"backend_state b1 down→up ",
		"backend_state b2 down→up ",
		"backend_state b2 up→down connection refused",
		"backend_state b1 up→draining by the operator",
		"drain_progress b1 draining→draining 1 left",
		"drain_progress b1 draining→draining 0 left",
		"backend_state b1 draining→disabled by the operator",
		"backend_state b1 disabled→removed left the settings, its flows live on",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestFlowEventsGetNames(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	client := r.client()
	r.clock.advance(time.Minute)
	got := r.table.named(loader.Event{
		Kind: loader.EventEstablished, Time: r.clock.monotonic() - time.Second,
		Service: 1, Member: 1, Client: client, Source: addrPort("192.0.2.3:40000"),
	})
	want := Event{
		Kind: EventFlowEstablished, Time: r.clock.now().Add(-time.Second), Service: "ssh", Listen: vip,
		Backend: "b1", BackendAddr: backendAddr("b1"), Client: client, Source: addrPort("192.0.2.3:40000"),
	}
	if got != want {
		t.Errorf("event is %+v, want %+v", got, want)
	}
	refused := r.table.named(loader.Event{Kind: loader.EventRefused, Service: 1, Client: client, Reason: "no_backend"})
	if refused.Kind != EventFlowRefused || refused.Backend != "" || refused.Reason != "no_backend" {
		t.Errorf("event is %+v", refused)
	}
	if closed := r.table.named(loader.Event{Kind: loader.EventClosed, Service: 9, Member: 9}); closed.Kind != EventFlowClosed || closed.Service != "" {
		t.Errorf("event is %+v", closed)
	}
}

func TestSlowSubscriberLosesAndSeesIt(t *testing.T) {
	r := newRig(t)
	slow, fast := r.table.Subscribe(2), r.table.Subscribe(10)
	defer fast.Close()
	for range 5 {
		r.table.feed.send(Event{Kind: EventFlowClosed})
	}
	if got := received(fast); len(got) != 5 {
		t.Errorf("the fast one got %d of 5", len(got))
	}
	if got := received(slow); len(got) != 2 || got[1].Seq != 2 {
		t.Errorf("the slow one got %+v", got)
	}
	r.table.feed.send(Event{Kind: EventFlowClosed})
	if got := received(slow); len(got) != 1 || got[0].Seq != 6 {
		t.Errorf("the slow one got %+v after a gap", got)
	}
	slow.Close()
	slow.Close()
	if _, open := <-slow.Events(); open {
		t.Error("a closed subscription delivers")
	}
	r.table.feed.send(Event{Kind: EventFlowClosed})
	if got := received(fast); len(got) != 2 {
		t.Errorf("the other one got %d of 2", len(got))
	}
}

func TestSubscribeWithoutBuffer(t *testing.T) {
	r := newRig(t)
	s := r.table.Subscribe(0)
	defer s.Close()
	r.table.feed.send(Event{})
	if got := received(s); len(got) != 1 {
		t.Errorf("got %d events", len(got))
	}
}
