package loader

import (
	"testing"

	"sluice/internal/nettest/frame"
)

// testRestart: a client that comes back on the tuple of an earlier connection.
func testRestart(t *testing.T, r *rig) {
	r.stands(t, natKinds, func(t *testing.T, s stand) {
		t.Run("the backend has forgotten", func(t *testing.T) { testForgotten(t, s.established(t, 0)) })
		t.Run("the backend still knows", func(t *testing.T) { testChallenged(t, s.established(t, 0)) })
		t.Run("after the close", func(t *testing.T) { testReuse(t, s.established(t, 0)) })
		t.Run("after a reset", func(t *testing.T) { testReuseAfterReset(t, s.established(t, 1)) })
		t.Run("after the lifetime", func(t *testing.T) { testReuseExpired(t, s.established(t, 1)) })
	})
	r.stands(t, withNodes, func(t *testing.T, s stand) {
		t.Run("living", func(t *testing.T) { testRestartDSR(t, s.established(t, 0)) })
		t.Run("after a reset", func(t *testing.T) { testReuseDSR(t, s.established(t, 0)) })
	})
}

// replaced is what counts when a new flow takes a living one's place.
var replaced = MemberCounters{FlowsOpened: 1, FlowsClosed: 1}

// testForgotten: the backend answers the new SYN at once. Until the client
// acknowledges that, the old entry stands.
func testForgotten(t *testing.T, c *talk) {
	old := c.up.next
	c.restart()
	c.play(t, []step{
		{flags: frame.SYN, state: FlowEstablished},
		{from: fromBackend, flags: frame.SYN | frame.ACK, state: FlowEstablished},
		{say: "late segment of the old connection", flags: frame.ACK, data: "old", forged: true,
			tweak: func(f *frame.Frame) { f.Seq, f.Ack = old, 1 }, state: FlowEstablished},
		{flags: frame.ACK, member: replaced, state: FlowEstablished},
		{flags: frame.ACK, data: "new", state: FlowEstablished},
		{from: fromBackend, flags: frame.ACK, data: "new", state: FlowEstablished},
	})
	c.play(t, natTalks["FIN of the backend first"])
}

// testChallenged: the backend challenges the SYN, the client answers by a
// reset, which ends the old connection, and tries again.
func testChallenged(t *testing.T, c *talk) {
	up, down := c.up.next, c.down.next
	c.restart()
	c.play(t, []step{
		{flags: frame.SYN, state: FlowEstablished},
		{say: "challenge ACK", from: fromBackend, flags: frame.ACK, forged: true,
			tweak: func(f *frame.Frame) { f.Seq, f.Ack = down, up }, state: FlowEstablished},
		{flags: frame.RST, forged: true, tweak: func(f *frame.Frame) { f.Seq = up }, member: closed, state: FlowClosed},
		{say: "bound by an end in doubt", flags: frame.SYN, again: true, state: FlowClosed},
		{from: fromBackend, flags: frame.SYN | frame.ACK, state: FlowClosed},
		{flags: frame.ACK, member: opened, state: FlowEstablished},
	})
	c.play(t, natTalks["data and FIN of the client first"])
}

// reuse is a handshake on a tuple whose old entry still stands in state.
func reuse(state FlowState) []step {
	return []step{
		{flags: frame.SYN, first: true, state: state, lone: true},
		{from: fromBackend, flags: frame.SYN | frame.ACK, state: state, lone: true},
		{flags: frame.ACK, member: opened, state: FlowEstablished},
		{flags: frame.ACK, data: "new", state: FlowEstablished},
		{from: fromBackend, flags: frame.ACK, data: "new", state: FlowEstablished},
	}
}

func testReuse(t *testing.T, c *talk) {
	c.play(t, natTalks["data and FIN of the client first"])
	earlier := *c
	c.restart()
	steps := reuse(FlowClosed)
	c.play(t, steps[:2])
	earlier.play(t, []step{{say: "what is late goes where it belongs", flags: frame.ACK, state: FlowClosed}})
	c.play(t, steps[2:])
	c.play(t, natTalks["reset by the backend"])
}

func testReuseAfterReset(t *testing.T, c *talk) {
	c.play(t, natTalks["reset by the client"])
	c.restart()
	c.play(t, reuse(FlowClosed))
}

// testReuseExpired: an entry past its lifetime is none, and its end is counted
// when its place is taken.
func testReuseExpired(t *testing.T, c *talk) {
	c.change(t, func(f *bpfFlow) { f.Seen -= c.d.lifetimes[FlowEstablished] + 1 })
	c.play(t, []step{{say: "absent", flags: frame.ACK, data: "x", does: silent, why: "unknown_flow", state: FlowEstablished, lone: true}})
	c.restart()
	steps := reuse(FlowEstablished)
	steps[2].member = replaced
	c.play(t, steps)
}

func testRestartDSR(t *testing.T, c *talk) {
	c.restart()
	c.play(t, []step{
		{flags: frame.SYN, state: FlowYoung},
		{flags: frame.ACK, member: replaced, state: FlowYoung},
		{flags: frame.ACK, data: "new", state: FlowYoung},
	})
}

// testReuseDSR: after an end beyond doubt the ring decides anew.
func testReuseDSR(t *testing.T, c *talk) {
	c.play(t, []step{
		{flags: frame.FIN | frame.ACK, state: FlowHalfClosed},
		{flags: frame.ACK, state: FlowHalfClosed},
		{flags: frame.RST, member: closed, state: FlowClosed},
	})
	defer c.aim(t, membersOf(c.id)[1])()
	n := c.talkOf(t, c.client)
	n.up = c.up
	n.restart()
	n.play(t, []step{
		{flags: frame.SYN, state: FlowClosed, lone: true},
		{flags: frame.ACK, member: opened, state: FlowYoung},
		{flags: frame.ACK, data: "new", state: FlowYoung},
	})
}
