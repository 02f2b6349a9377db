package loader

import (
	"testing"

	"sluice/internal/nettest/frame"
)

// kill ends the flow as an operator does.
func (c *talk) kill(t *testing.T) {
	t.Helper()
	f, ok, err := c.d.Find(c.id, c.client)
	mustRig(t, err)
	if !ok {
		t.Fatal("the flow has no entry")
	}
	before := c.tally(t)
	n, err := c.d.Kill([]Flow{f})
	mustRig(t, err)
	if n != 1 {
		t.Fatalf("%d flows were killed, want 1", n)
	}
	want := MemberCounters{}
	if f.State < FlowClosed {
		want = closed
	}
	c.checkTally(t, before, tally{Members: map[MemberID]MemberCounters{c.member: want}})
}

// dead are packets of a killed flow: each side is told at the next thing it
// says, however often it says it.
var dead = []step{
	{flags: frame.ACK, data: "still there?", does: refused, why: "killed", state: FlowKilled},
	{from: fromBackend, flags: frame.ACK, data: "what?", does: refused, why: "killed", state: FlowKilled},
	{flags: frame.FIN | frame.ACK, does: refused, why: "killed", state: FlowKilled},
	{from: fromBackend, flags: frame.FIN | frame.ACK, does: refused, why: "killed", state: FlowKilled},
	{flags: frame.ACK, tweak: func(f *frame.Frame) { f.TTL = new(uint8(1)) }, does: refused, why: "killed", state: FlowKilled},
	{flags: frame.RST, does: silent, why: "killed", state: FlowKilled},
	{from: fromBackend, flags: frame.RST | frame.ACK, does: silent, why: "killed", state: FlowKilled},
}

func testKill(t *testing.T, r *rig) {
	r.stands(t, steering, func(t *testing.T, s stand) {
		for which := range 2 {
			c := s.established(t, which)
			c.kill(t)
			c.play(t, dead)
		}
	})
	r.stands(t, natKinds, func(t *testing.T, s stand) {
		c := s.established(t, 0)
		c.kill(t)
		c.restart()
		c.play(t, reuse(FlowKilled))
		c.play(t, natTalks["FIN of the backend first"])
	})
	r.stands(t, withNodes, func(t *testing.T, s stand) {
		c := s.established(t, 0)
		c.kill(t)
		c.restart()
		c.play(t, []step{
			{flags: frame.SYN, state: FlowKilled, lone: true},
			{flags: frame.ACK, member: opened, state: FlowYoung},
			{flags: frame.ACK, data: "new", state: FlowYoung},
		})
	})
	r.plain(t, natKinds, testKillHalfClosed)
}

func testKillHalfClosed(t *testing.T, s stand) {
	c := s.established(t, 0)
	c.play(t, []step{{flags: frame.FIN | frame.ACK, state: FlowHalfClosed}})
	c.kill(t)
	c.play(t, dead)
	again, err := c.d.Kill(nil)
	mustRig(t, err)
	if again != 0 {
		t.Errorf("%d flows were killed, want none", again)
	}
}
