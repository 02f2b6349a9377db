package loader

import (
	"testing"

	"sluice/internal/nettest/frame"
)

// revived is what counts when a flow goes on that was counted closed.
var revived = MemberCounters{FlowsRevived: 1}

// testEnd: what a FIN or RST that anybody may have sent makes of a flow. None
// takes its backend from it, and honest ends are counted.
func testEnd(t *testing.T, r *rig) {
	r.plain(t, []kind{dsr}, func(t *testing.T, s stand) {
		for name, steps := range oneWayEnds {
			t.Run(name, func(t *testing.T) {
				// The ring names another backend by now: only the entry holds.
				c := s.proven(t)
				defer s.fillRing(t, s.family, s.kind)
				c.ring(t).Set(c.entry(), c.elsewhere(t).member)
				c.play(t, steps)
			})
		}
		t.Run("quiet ring", func(t *testing.T) { testEndQuiet(t, s) })
		t.Run("young", func(t *testing.T) { testEndYoung(t, s) })
	})
	r.plain(t, natKinds, func(t *testing.T, s stand) {
		for name, steps := range natEnds {
			t.Run(name, func(t *testing.T) { s.established(t, 0).play(t, steps) })
		}
	})
	r.plain(t, steering, testDoubtOutlives)
	r.plain(t, steering, testDoubtCounted)
	r.plain(t, steering, testReuseInDoubt)
}

// proven is an established flow of some age.
func (s stand) proven(t *testing.T) *talk {
	t.Helper()
	c := s.established(t, 0)
	c.change(t, func(f *bpfFlow) {
		f.Status = f.Status&^statusState | uint32(FlowEstablished)
		if s.svc.Mode.OneWay() {
			f.Status |= statusAdvanced
		}
		f.Opened -= s.d.lifetimes[FlowHalfClosed] + 5
	})
	return c
}

func seq(by uint32) func(*frame.Frame) { return func(f *frame.Frame) { f.Seq += by } }

// oneWayEnds are of a flow whose numbers the table knows little of.
var oneWayEnds = map[string][]step{
	"forged RST behind": {
		{flags: frame.RST, forged: true, tweak: seq(1 << 31), member: closed, state: FlowClosed},
		{say: "goes on", flags: frame.ACK, data: "x", member: revived, state: FlowEstablished},
		{flags: frame.ACK, data: "x", state: FlowEstablished},
	},
	"forged RST far ahead": {
		{flags: frame.RST | frame.ACK, forged: true, tweak: seq(1 << 28), member: closed, state: FlowClosed},
		{flags: frame.ACK, data: "x", member: revived, state: FlowEstablished},
	},
	"forged RST a little ahead": {
		{flags: frame.RST, forged: true, tweak: seq(1000), member: closed, state: FlowClosed},
		{say: "may be what was sent before a reset", flags: frame.ACK, data: "x", state: FlowClosed},
		{say: "beyond it", flags: frame.ACK, data: string(make([]byte, 1001)), member: revived, state: FlowEstablished},
	},
	"forged RST at the very number": {
		{flags: frame.RST, forged: true, member: closed, state: FlowClosed},
		{say: "beyond it", flags: frame.ACK, data: "x", member: revived, state: FlowEstablished},
	},
	"many forged RSTs": {
		{flags: frame.RST, forged: true, tweak: seq(1 << 30), member: closed, state: FlowClosed},
		{flags: frame.RST, forged: true, tweak: seq(1 << 29), state: FlowClosed},
		{flags: frame.ACK, data: "x", member: revived, state: FlowEstablished},
		{flags: frame.RST, forged: true, tweak: seq(1 << 29), member: closed, state: FlowClosed},
		{flags: frame.ACK, data: "x", member: revived, state: FlowEstablished},
	},
	"forged FIN": {
		{flags: frame.FIN | frame.ACK, forged: true, tweak: seq(1 << 30), state: FlowHalfClosed},
		{flags: frame.ACK, data: "x", state: FlowEstablished},
	},
	"forged FIN a little ahead": {
		{flags: frame.FIN | frame.ACK, forged: true, tweak: seq(1000), state: FlowHalfClosed},
		{say: "may be what was lost before a FIN", flags: frame.ACK, data: "x", state: FlowHalfClosed},
		{say: "beyond it", flags: frame.ACK, data: string(make([]byte, 1001)), state: FlowEstablished},
	},
	"honest FIN after a forged one": {
		{flags: frame.FIN | frame.ACK, forged: true, tweak: seq(1 << 30), state: FlowHalfClosed},
		{flags: frame.FIN | frame.ACK, state: FlowHalfClosed},
		{say: "acknowledges the backend's FIN", flags: frame.ACK, state: FlowHalfClosed},
		{flags: frame.RST, member: closed, state: FlowClosed},
	},
	"honest RST": {
		{flags: frame.RST, member: closed, state: FlowClosed},
		{say: "sent before it", flags: frame.ACK, state: FlowClosed},
		{flags: frame.RST, state: FlowClosed},
	},
	"FIN and a reset to what still came": {
		{flags: frame.FIN | frame.ACK, state: FlowHalfClosed},
		{flags: frame.RST, member: closed, state: FlowClosed},
	},
}

// natEnds are of a flow whose numbers are known to within the window.
var natEnds = map[string][]step{
	"forged RST of the client in the window": {
		{flags: frame.RST, forged: true, tweak: seq(1000), member: closed, state: FlowClosed},
		{say: "the backend says nothing of it", from: fromBackend, flags: frame.ACK, data: "x", state: FlowClosed},
		{flags: frame.ACK, data: "x", state: FlowClosed},
		{flags: frame.ACK, data: string(make([]byte, 1001)), member: revived, state: FlowEstablished},
		{from: fromBackend, flags: frame.ACK, data: "x", state: FlowEstablished},
	},
	"forged RST of the backend in the window": {
		{from: fromBackend, flags: frame.RST, forged: true, tweak: seq(1<<32 - 1000), member: closed, state: FlowClosed},
		{flags: frame.ACK, data: "x", state: FlowClosed},
		{from: fromBackend, flags: frame.ACK, data: "x", member: revived, state: FlowEstablished},
		{flags: frame.ACK, data: "x", state: FlowEstablished},
	},
	"forged FINs of both": {
		{flags: frame.FIN | frame.ACK, forged: true, tweak: seq(1<<32 - 1000), state: FlowHalfClosed},
		{from: fromBackend, flags: frame.FIN | frame.ACK, forged: true, tweak: seq(1<<32 - 1000), member: closed, state: FlowClosed},
		{flags: frame.ACK, data: "x", member: revived, state: FlowHalfClosed},
		{from: fromBackend, flags: frame.ACK, data: "x", state: FlowEstablished},
	},
	"forged RST, then the true end": {
		{flags: frame.RST, forged: true, tweak: seq(1000), member: closed, state: FlowClosed},
		{flags: frame.ACK, data: string(make([]byte, 1400)), member: revived, state: FlowEstablished},
		{flags: frame.FIN | frame.ACK, state: FlowHalfClosed},
		{from: fromBackend, flags: frame.FIN | frame.ACK, member: closed, state: FlowClosed},
		{flags: frame.ACK, state: FlowClosed},
	},
}

// testEndQuiet: where the ring names the flow's backend and nothing is in doubt,
// the packets after an end still come by the table.
func testEndQuiet(t *testing.T, s stand) {
	c := s.proven(t)
	c.mark(t, 0)
	c.up.next += 1 << 30 // the table saw nothing of it
	c.play(t, []step{
		{flags: frame.RST, forged: true, tweak: seq(1 << 30), member: closed, state: FlowClosed},
		{flags: frame.ACK, data: "x", member: revived, state: FlowEstablished},
		{flags: frame.FIN | frame.ACK, state: FlowHalfClosed},
		{flags: frame.ACK, state: FlowHalfClosed},
	})
	if f, _, err := s.d.Find(s.id, c.client); err != nil || f.State != FlowHalfClosed {
		t.Errorf("the flow is %+v (%v)", f, err)
	}
}

// testEndYoung: an end does not prove a flow.
func testEndYoung(t *testing.T, s stand) {
	s.established(t, 0).play(t, []step{
		{flags: frame.RST, forged: true, tweak: seq(1 << 30), member: closed, state: FlowClosed},
		{flags: frame.ACK, member: revived, state: FlowYoung},
	})
}

// testDoubtOutlives: a session that was silent for two hours after a forged end
// still has its entry, one whose end is beyond doubt soon has none.
func testDoubtOutlives(t *testing.T, s stand) {
	const keepalive = 7200
	for name, end := range map[string]step{
		"RST": {flags: frame.RST, forged: true, tweak: seq(1000), member: closed, state: FlowClosed},
		"FIN": {flags: frame.FIN | frame.ACK, forged: true, tweak: seq(1000), state: FlowHalfClosed},
	} {
		t.Run(name, func(t *testing.T) {
			s.clear(t)
			c := s.proven(t)
			c.play(t, []step{end})
			c.change(t, older(keepalive))
			count := revived
			if end.member != closed {
				c.sweep(t, 0, closed)
			}
			c.sweep(t, 0, MemberCounters{})
			if s.svc.Mode.OneWay() {
				defer s.fillRing(t, s.family, s.kind)
				c.ring(t).Set(c.entry(), c.elsewhere(t).member)
			}
			c.play(t, []step{{flags: frame.ACK, data: string(make([]byte, 1200)), member: count, state: FlowEstablished}})
		})
	}
	s.clear(t)
	c := s.proven(t)
	c.play(t, []step{{flags: frame.RST, forged: true, tweak: seq(1000), member: closed, state: FlowClosed}})
	c.change(t, older(s.d.doubt+1))
	c.sweepAtLeast(t, 1)
	c.checkEntry(t, step{})
}

// testDoubtCounted: a FIN counts when it would without doubt, and once.
func testDoubtCounted(t *testing.T, s stand) {
	s.clear(t)
	c := s.proven(t)
	c.play(t, []step{{flags: frame.FIN | frame.ACK, state: FlowHalfClosed}})
	c.change(t, older(s.d.lifetimes[FlowHalfClosed]-1))
	c.sweep(t, 0, MemberCounters{})
	c.change(t, older(2))
	c.sweep(t, 0, closed)
	c.sweep(t, 0, MemberCounters{})
	c.change(t, older(s.d.doubt))
	c.sweepAtLeast(t, 1)
	c.checkEntry(t, step{})
}

// sweepAtLeast runs a pass that counts nothing.
func (c *talk) sweepAtLeast(t *testing.T, removed int) {
	t.Helper()
	before := c.tally(t)
	n, err := c.d.Expire(t.Context())
	mustRig(t, err)
	if n < removed {
		t.Errorf("the sweep removed %d entries, want %d", n, removed)
	}
	c.checkTally(t, before, tally{})
}

// testReuseInDoubt: who forges a reset cannot have the ring decide anew.
func testReuseInDoubt(t *testing.T, s stand) {
	c := s.proven(t)
	c.play(t, []step{{flags: frame.RST, forged: true, tweak: seq(1000), member: closed, state: FlowClosed}})
	defer s.aim(t, c.elsewhere(t).member)()
	c.play(t, []step{{say: "SYN to the same backend", flags: frame.SYN, forged: true, tweak: forge, state: FlowClosed}})
}
