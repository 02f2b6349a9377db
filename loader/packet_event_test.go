package loader

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/nettest/frame"
)

// testEvents: begin and end of a flow are told once each, and a SYN never is.
func testEvents(t *testing.T, r *rig) {
	r.plain(t, steering, func(t *testing.T, s stand) {
		s.events(t)
		lost := s.lost(t)
		c := s.talk(t, 0)
		steps := handshake()
		if s.svc.Mode.OneWay() {
			steps = dsrHandshake()
		}
		c.play(t, steps[:2])
		s.wantEvents(t)
		c.play(t, steps[2:])
		s.wantEvents(t, c.event(EventEstablished))
		c.both(t, step{}, step{})
		if s.svc.Proxy { // the backend has acknowledged its header
			s.wantEvents(t, c.event(EventSettled))
		}
		c.both(t, step{}, step{})
		c.play(t, []step{{flags: frame.SYN, forged: true, tweak: forge, state: c.state(t)}})
		s.wantEvents(t)
		c.play(t, []step{{flags: frame.RST, member: closed, state: FlowClosed}, {flags: frame.RST, state: FlowClosed}})
		s.wantEvents(t, c.event(EventClosed))
		if n := s.lost(t) - lost; n != 0 {
			t.Errorf("%d events were lost", n)
		}
	})
	t.Run("unread", func(t *testing.T) { testEventsUnread(t, r) })
	t.Run("lost", func(t *testing.T) { testEventsLost(t, r) })
	t.Run("unwoken", func(t *testing.T) { testEventsUnwoken(t, r) })
}

// testEventsUnread: while nobody reads events of flows none is written, and
// everything else goes on.
func testEventsUnread(t *testing.T, r *rig) {
	r.plain(t, []kind{hide}, func(t *testing.T, s stand) {
		mustRig(t, s.d.SetFlowEvents(false))
		s.events(t)
		unread := s.talk(t, 0)
		unread.play(t, handshake())
		unread.play(t, []step{{flags: frame.RST, member: closed, state: FlowClosed}})
		s.wantEvents(t)
		mustRig(t, s.d.SetFlowEvents(true))
		c := s.talk(t, 1)
		c.play(t, handshake())
		s.wantEvents(t, c.event(EventEstablished))
	})
}

// testEventsUnwoken: the last events of a burst, for which nobody is woken, do
// not wait for the next burst.
func testEventsUnwoken(t *testing.T, r *rig) {
	r.events(t)
	s := stand{rig: r, family: families[0], kind: empty, id: empty.id(families[0]), svc: empty.service(families[0])}
	at, f := s.talkOf(t, s.nextClient()).segment(fromClient, frame.SYN, "")
	syn := build(t, f)
	const burst = 20
	for range 5 {
		read := make(chan error, 1)
		go func() {
			for range burst {
				if _, err := r.d.ReadEvent(); err != nil {
					read <- err
					return
				}
			}
			read <- nil
		}()
		for range burst {
			r.mustRun(t, at, syn)
		}
		select {
		case err := <-read:
			mustRig(t, err)
		case <-time.After(10 * time.Second):
			t.Fatal("the last events of a burst were not read within 10 s")
		}
	}
}

func (r *rig) lost(t *testing.T) uint64 {
	t.Helper()
	n, err := r.d.EventsLost()
	mustRig(t, err)
	return n
}

// testEventsLost: events that find no room are counted, and the packets go on
// as ever.
func testEventsLost(t *testing.T, r *rig) {
	r.events(t)
	before := r.lost(t)
	s := stand{rig: r, family: families[0], kind: empty, id: empty.id(families[0]), svc: empty.service(families[0])}
	at, f := s.talkOf(t, s.nextClient()).segment(fromClient, frame.SYN, "")
	syn := build(t, f)
	const sent = 20_000
	r.inside(func() {
		for range sent {
			if v, _, err := r.run(at, syn); err != nil || v != xdpTX {
				t.Errorf("%s, %v", v, err)
				return
			}
		}
	})
	kept := uint64(len(r.events(t)))
	if lost := r.lost(t) - before; kept == 0 || lost == 0 || kept+lost != sent {
		t.Errorf("%d events were kept and %d lost, want %d in all", kept, lost, sent)
	}
}

// events takes what the ring buffer holds.
func (r *rig) events(t testing.TB) []Event {
	t.Helper()
	r.d.events.reader.SetDeadline(time.Unix(1, 0))
	var out []Event
	for {
		record, err := r.d.events.reader.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return out
		}
		mustRig(t, err)
		out = append(out, r.d.decodeEvent((*bpfEvent)(unsafe.Pointer(&record.RawSample[0]))))
	}
}

// wantEvents compares what came since the last call.
func (r *rig) wantEvents(t testing.TB, want ...Event) {
	t.Helper()
	got := r.events(t)
	opts := cmp.Options{
		cmpopts.IgnoreFields(Event{}, "Time"), cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.AddrPort{}),
	}
	if diff := cmp.Diff(want, got, opts); diff != "" {
		t.Fatalf("events differ (-want +got):\n%s", diff)
	}
}
