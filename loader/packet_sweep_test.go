package loader

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/nettest/frame"
)

// testSweep: the sweep removes what is past its lifetime and what belongs to
// it, and counts each flow closed once, whoever noticed its end.
func testSweep(t *testing.T, r *rig) {
	r.plain(t, steering, testSweepState)
	r.plain(t, natKinds, testSweepOverflow)
	r.plain(t, natKinds, testSweepOrphan)
}

// past moves both entries of the connection beyond their lifetimes.
func (c *talk) past(t *testing.T) {
	t.Helper()
	c.change(t, func(f *bpfFlow) { f.Seen = c.now(t) - c.d.lifetimes[FlowEstablished] - 1 })
	if c.svc.Mode != ModeNAT {
		return
	}
	c.changeBack(t, func(f *bpfFlow) { f.Seen = c.now(t) - c.d.lifetimes[FlowEstablished] - 1 })
}

// sweep runs a pass and checks what it removed and counted.
func (c *talk) sweep(t *testing.T, removed int, member MemberCounters) {
	t.Helper()
	before := c.tally(t)
	n, err := c.d.Expire(t.Context())
	mustRig(t, err)
	if n != removed {
		t.Errorf("the sweep removed %d entries, want %d", n, removed)
	}
	want := tally{Members: map[MemberID]MemberCounters{}}
	if member != (MemberCounters{}) {
		want.Members[c.member] = member
	}
	c.checkTally(t, before, want)
}

func (c *talk) entries() int {
	if c.svc.Mode == ModeNAT {
		return 2
	}
	return 1
}

func testSweepState(t *testing.T, s stand) {
	s.clear(t)
	defer s.clear(t)
	lives := s.established(t, 1)
	for _, end := range []struct {
		name  string
		steps []step
		count MemberCounters
	}{
		{"silent", nil, closed},
		{"half closed", []step{{flags: frame.FIN | frame.ACK, state: FlowHalfClosed}}, closed},
		{"reset", []step{{flags: frame.RST, member: closed, state: FlowClosed}}, MemberCounters{}},
	} {
		t.Run(end.name, func(t *testing.T) {
			c := s.established(t, 0)
			c.play(t, end.steps)
			c.sweep(t, 0, MemberCounters{})
			c.past(t)
			s.events(t)
			c.sweep(t, c.entries(), end.count)
			if end.count == closed {
				s.wantEvents(t, c.event(EventClosed))
			}
			c.sweep(t, 0, MemberCounters{})
			c.checkEntry(t, step{})
		})
	}
	lives.both(t, step{}, step{})
}

// event is what is told of the connection.
func (c *talk) event(kind EventKind) Event {
	e := Event{Kind: kind, Service: c.id, Member: c.member, Client: c.client, ID: c.connectionID()}
	if c.svc.Mode == ModeNAT {
		e.Source = c.source
	}
	return e
}

func testSweepOverflow(t *testing.T, s stand) {
	s.clear(t)
	defer s.clear(t)
	s.occupyLines(t)
	c := s.established(t, 0)
	c.sweep(t, 0, MemberCounters{})
	c.past(t)
	c.sweep(t, 2, closed)
	c.checkEntry(t, step{})
}

// testSweepOrphan: an entry for answers goes when its flow has got another
// source, and not before.
func testSweepOrphan(t *testing.T, s stand) {
	if s.kind == keep {
		return
	}
	s.clear(t)
	defer s.clear(t)
	c := s.established(t, 0)
	c.play(t, natTalks["data and FIN of the client first"])
	key, hash := c.backKey(), c.backHash()
	c.restart()
	c.play(t, reuse(FlowClosed))
	line, f, err := s.d.find(key, hash)
	mustRig(t, err)
	if f == nil {
		t.Fatal("the entry for answers of the earlier connection is gone before the sweep")
	}
	f.Seen -= s.d.lifetimes[FlowClosed] + 2
	mustRig(t, s.d.objs.Flows.Put(line, f))
	c.sweep(t, 1, MemberCounters{})
	c.both(t, step{}, step{})
	var left []Flow
	mustRig(t, s.d.Scan(t.Context(), func(f Flow) bool { left = append(left, f); return true }))
	if len(left) != 1 || left[0].Source != c.source {
		t.Errorf("flows left: %s", cmp.Diff(nil, left, cmp.AllowUnexported()))
	}
}
