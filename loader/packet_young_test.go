package loader

import (
	"testing"

	"sluice/internal/nettest/frame"
)

// testYoung: in dsr a handshake is seen from one side only. The entry lives as
// long as a handshake until the client sends data, and is proven when it still
// does so after a while.
func testYoung(t *testing.T, r *rig) {
	r.plain(t, withNodes, func(t *testing.T, s stand) {
		t.Run("proven", func(t *testing.T) { testProven(t, s.established(t, 0)) })
		t.Run("without data", func(t *testing.T) { testNeverProven(t, s.established(t, 0)) })
		t.Run("with data, then silent", func(t *testing.T) { testYoungSilent(t, s.established(t, 0)) })
		t.Run("forged SYN and ACK", func(t *testing.T) { testForgedPair(t, s) })
	})
	r.plain(t, steering, testLifetimes)
	r.plain(t, natKinds, testSeen)
}

// older moves everything an entry remembers of time into the past.
func older(by uint32) func(*bpfFlow) {
	return func(f *bpfFlow) { f.Seen -= by; f.Opened -= by }
}

func testProven(t *testing.T, c *talk) {
	proof := ticks(Lifetimes{}.withDefaults().Young)
	c.play(t, []step{{flags: frame.ACK, data: "early", state: FlowYoung}})
	c.change(t, older(proof-2))
	c.play(t, []step{{flags: frame.ACK, data: "not yet", state: FlowYoung}})
	c.change(t, older(2))
	c.play(t, []step{
		{flags: frame.ACK, state: FlowEstablished},
		{flags: frame.FIN | frame.ACK, state: FlowHalfClosed},
	})
}

func testNeverProven(t *testing.T, c *talk) {
	proof := ticks(Lifetimes{}.withDefaults().Young)
	c.change(t, older(proof+1))
	c.play(t, []step{
		{say: "an ACK proves nothing", flags: frame.ACK, state: FlowYoung},
		{flags: frame.ACK, state: FlowYoung},
	})
	c.change(t, older(c.d.lifetimes[FlowYoung]+1))
	c.play(t, []step{{say: "absent, so by the ring", flags: frame.ACK, state: FlowYoung}})
	defer c.aim(t, membersOf(c.id)[1])()
	moved := c.talkOf(t, c.client)
	moved.up, moved.down = c.up, c.down
	moved.play(t, []step{{flags: frame.ACK, state: FlowYoung, lone: true}})
}

// testYoungSilent: a flow that carried data is a session that may be idle.
func testYoungSilent(t *testing.T, c *talk) {
	c.play(t, []step{{flags: frame.ACK, data: "SSH-2.0-client\r\n", state: FlowYoung}})
	c.change(t, older(c.d.lifetimes[FlowYoung]+1))
	defer c.aim(t, membersOf(c.id)[1])()
	c.play(t, []step{{flags: frame.ACK, state: FlowEstablished}})
}

// testForgedPair: what a flood of forged pairs makes is gone as soon as
// anything better needs the place.
func testForgedPair(t *testing.T, s stand) {
	c := s.talk(t, 0)
	c.play(t, []step{
		{flags: frame.SYN, forged: true, tweak: func(f *frame.Frame) { f.Seq = 1000 }},
		{flags: frame.ACK, forged: true, tweak: func(f *frame.Frame) { f.Seq = 1002 + 1<<16 }},
		{flags: frame.ACK, forged: true, tweak: func(f *frame.Frame) { f.Seq = 1000 }},
		{flags: frame.ACK | frame.RST, forged: true, tweak: func(f *frame.Frame) { f.Seq = 1001 }},
		{flags: frame.ACK, forged: true, tweak: func(f *frame.Frame) { f.Seq = 1001 }, member: opened, state: FlowYoung},
	})
}

// testLifetimes: an entry past its lifetime counts as absent, and one within it
// does not.
func testLifetimes(t *testing.T, s stand) {
	for state := FlowEstablished; state <= FlowKilled; state++ {
		c := s.established(t, 0)
		c.change(t, func(f *bpfFlow) { f.Status = f.Status&^statusState | uint32(state) })
		c.change(t, older(s.d.lifetimes[state]-1))
		alive := step{flags: frame.ACK, state: state, lone: true}
		if state == FlowKilled {
			alive.does, alive.why = refused, "killed"
		}
		c.play(t, []step{alive})
		c.change(t, func(f *bpfFlow) { f.Seen = c.now(t) - s.d.lifetimes[state] - 2 }) // the coarse clock may be a tick behind
		gone := step{flags: frame.ACK, state: state, lone: true, does: silent, why: "unknown_flow"}
		if s.svc.Mode.OneWay() {
			gone = step{say: "by the ring", flags: frame.ACK, state: state, lone: true}
		}
		c.play(t, []step{gone})
	}
}

func (r *rig) now(t *testing.T) uint32 {
	t.Helper()
	now, err := monotonic()
	mustRig(t, err)
	return now
}

// testSeen: packets of either side keep their direction's entry fresh, and the
// client's, which has the lifetime, is kept by what the client sends.
func testSeen(t *testing.T, s stand) {
	c := s.established(t, 0)
	c.change(t, older(60)) // less than the machine is up
	c.play(t, []step{{flags: frame.ACK, state: FlowEstablished}})
	f, _, err := s.d.Find(s.id, c.client)
	mustRig(t, err)
	if now := fromTicks(s.now(t)); now-f.Seen > fromTicks(2) {
		t.Errorf("the flow was last seen at %s, want about %s", f.Seen, now)
	}
	if f.Opened > f.Seen-fromTicks(50) {
		t.Errorf("the flow was opened at %s; it is older", f.Opened)
	}
}
