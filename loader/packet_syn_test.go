package loader

import (
	"testing"

	"sluice/internal/nettest/frame"
)

// forge gives a SYN a number that has nothing to do with the living flow's.
func forge(f *frame.Frame) { f.Seq += 0x40000000 }

// forgeries are what a stranger may send on a living flow that must not harm it.
var forgeries = map[string][]step{
	"SYN, challenged by the backend": {
		{flags: frame.SYN, forged: true, tweak: forge, state: FlowEstablished},
		{say: "challenge ACK", from: fromBackend, flags: frame.ACK, state: FlowEstablished},
		{say: "the client never sent it", flags: frame.ACK, state: FlowEstablished},
		{flags: frame.ACK, data: "goes on", state: FlowEstablished},
		{from: fromBackend, flags: frame.ACK, data: "goes on", state: FlowEstablished},
	},
	"many SYNs": {
		{flags: frame.SYN, forged: true, tweak: forge, state: FlowEstablished},
		{flags: frame.SYN, forged: true, tweak: func(f *frame.Frame) { f.Seq -= 77 }, state: FlowEstablished},
		{flags: frame.SYN, forged: true, tweak: forge, state: FlowEstablished},
		{flags: frame.ACK, data: "goes on", state: FlowEstablished},
	},
	"SYN and an ACK that guesses": {
		{flags: frame.SYN, forged: true, tweak: forge, state: FlowEstablished},
		{flags: frame.ACK, forged: true, tweak: func(f *frame.Frame) { forge(f); f.Seq++ }, state: FlowEstablished},
		{flags: frame.ACK, data: "goes on", state: FlowEstablished},
	},
	"blind RST far ahead": {
		{flags: frame.RST, forged: true, tweak: func(f *frame.Frame) { f.Seq += 1 << 20 }, state: FlowEstablished},
		{flags: frame.RST, forged: true, tweak: func(f *frame.Frame) { f.Seq += 1 << 30 }, state: FlowEstablished},
		{flags: frame.RST, forged: true, tweak: func(f *frame.Frame) { f.Seq += 1 << 31 }, state: FlowEstablished},
		{flags: frame.ACK, data: "goes on", state: FlowEstablished},
	},
	"blind RST far behind": {
		{flags: frame.RST, forged: true, tweak: func(f *frame.Frame) { f.Seq -= 1<<20 + 1 }, state: FlowEstablished},
		{flags: frame.RST | frame.ACK, forged: true, tweak: func(f *frame.Frame) { f.Seq -= 1 << 24 }, state: FlowEstablished},
		{from: fromBackend, flags: frame.RST, forged: true, tweak: func(f *frame.Frame) { f.Seq -= 1 << 24 }, state: FlowEstablished},
	},
	"blind FIN": {
		{flags: frame.FIN | frame.ACK, forged: true, tweak: func(f *frame.Frame) { f.Seq += 1 << 20 }, state: FlowEstablished},
		{from: fromBackend, flags: frame.FIN | frame.ACK, forged: true, tweak: func(f *frame.Frame) { f.Seq -= 1<<20 + 2 }, state: FlowEstablished},
		{flags: frame.ACK, data: "goes on", state: FlowEstablished},
		{flags: frame.FIN | frame.ACK, state: FlowHalfClosed},
	},
	"RST at the rims of the window": {
		{flags: frame.RST, tweak: func(f *frame.Frame) { f.Seq += 1<<20 - 1 }, member: closed, state: FlowClosed},
	},
	"RST at the lower rim": {
		{flags: frame.RST, tweak: func(f *frame.Frame) { f.Seq -= 1 << 20 }, member: closed, state: FlowClosed},
	},
	"data far ahead does not move the window": {
		{flags: frame.ACK, data: "x", forged: true, tweak: func(f *frame.Frame) { f.Seq += 1 << 28 }, state: FlowEstablished},
		{flags: frame.RST, forged: true, tweak: func(f *frame.Frame) { f.Seq += 1 << 28 }, state: FlowEstablished},
		{flags: frame.RST, member: closed, state: FlowClosed},
	},
}

func testSYN(t *testing.T, r *rig) {
	r.stands(t, natKinds, func(t *testing.T, s stand) {
		for name, steps := range forgeries {
			t.Run(name, func(t *testing.T) { s.established(t, 0).play(t, steps) })
		}
	})
	r.plain(t, natKinds, testRepeated)
	r.plain(t, withNodes, testRepeatedDSR)
	r.plain(t, withNodes, testBesideDSR)
	r.plain(t, natKinds, testRingMoves)
}

// testRepeated: a repeated SYN keeps what the first one got, and so does its
// way to the backend.
func testRepeated(t *testing.T, s stand) {
	again := step{flags: frame.SYN, again: true, service: unreturned(s.kind)}
	t.Run("before the SYN-ACK", func(t *testing.T) {
		c := s.talk(t, 0)
		c.play(t, []step{{flags: frame.SYN, first: true}, again, again})
		c.play(t, handshake()[1:])
	})
	t.Run("after the SYN-ACK", func(t *testing.T) {
		c := s.talk(t, 0)
		c.play(t, handshake()[:2])
		again.service = ServiceCounters{}
		c.play(t, []step{again})
		c.play(t, handshake()[1:])
	})
	t.Run("of an embryo that is too old", func(t *testing.T) {
		c := s.talk(t, 0)
		c.play(t, handshake()[:1])
		c.ageEmbryos(t, c.d.lifetimes[FlowYoung]+1)
		c.play(t, []step{{say: "absent", flags: frame.ACK, does: silent, why: "unknown_flow"}})
		c.play(t, []step{{flags: frame.SYN, first: true, again: true}})
		c.play(t, handshake()[1:])
	})
	t.Run("with another number", func(t *testing.T) {
		c := s.talk(t, 0)
		c.play(t, handshake()[:2])
		earlier := c.down.next
		c.restart()
		c.play(t, handshake()[:1])
		c.play(t, []step{{say: "the first answer counts no more", flags: frame.ACK, forged: true, tweak: func(f *frame.Frame) { f.Ack = earlier }}})
		c.play(t, handshake()[1:])
		c.play(t, []step{{flags: frame.ACK, data: "x", state: FlowEstablished}})
	})
}

func testRepeatedDSR(t *testing.T, s stand) {
	t.Run("SYN", func(t *testing.T) {
		c := s.talk(t, 1)
		c.play(t, []step{{flags: frame.SYN}, {flags: frame.SYN, again: true}})
		c.play(t, dsrHandshake()[1:])
	})
	t.Run("SYN with another number", func(t *testing.T) {
		c := s.talk(t, 1)
		c.play(t, dsrHandshake()[:1])
		c.restart()
		c.play(t, dsrHandshake())
	})
	t.Run("forged SYN", func(t *testing.T) {
		c := s.established(t, 0)
		defer s.aim(t, membersOf(s.id)[1])()
		c.play(t, []step{
			{flags: frame.SYN, forged: true, tweak: forge, state: FlowYoung},
			{say: "the living goes on", flags: frame.ACK, data: "x", state: FlowYoung},
			{say: "the forged handshake completes", flags: frame.ACK, forged: true,
				tweak: func(f *frame.Frame) { f.Seq = c.up.isn + 0x40000001 }, member: MemberCounters{FlowsOpened: 1, FlowsClosed: 1}, state: FlowYoung},
			{say: "and is with the same backend", flags: frame.ACK, data: "x", state: FlowYoung},
		})
	})
}

// testBesideDSR: a handshake beside a living flow that came to nothing leaves it
// where it is, whatever the ring says by now.
func testBesideDSR(t *testing.T, s stand) {
	c := s.established(t, 0)
	defer s.aim(t, membersOf(s.id)[1])()
	c.play(t, []step{{flags: frame.SYN, forged: true, tweak: forge, state: FlowYoung}})
	key := c.forwardKey()
	mustRig(t, s.d.objs.Embryos.Delete(&key))
	c.play(t, []step{
		{flags: frame.ACK, data: "x", state: FlowYoung},
		{flags: frame.ACK, data: "x", state: FlowYoung},
	})
}

// testRingMoves: what the ring says matters to what has not begun only.
func testRingMoves(t *testing.T, s stand) {
	t.Run("an established flow stays", func(t *testing.T) {
		c := s.established(t, 0)
		defer s.aim(t, membersOf(s.id)[1])()
		c.play(t, natTalks["data and FIN of the client first"])
	})
	t.Run("a handshake that was answered stays", func(t *testing.T) {
		c := s.talk(t, 0)
		c.play(t, handshake()[:2])
		defer s.aim(t, membersOf(s.id)[1])()
		c.play(t, []step{{flags: frame.SYN, again: true}})
		c.play(t, handshake()[1:])
	})
	t.Run("one that was not goes with the ring", func(t *testing.T) {
		c := s.talk(t, 0)
		c.play(t, handshake()[:1])
		defer s.aim(t, membersOf(s.id)[1])()
		moved := s.talkOf(t, c.client)
		moved.play(t, []step{{flags: frame.SYN, first: true, service: unreturned(s.kind)}})
		moved.play(t, handshake()[1:])
	})
	t.Run("and the first backend's late answer completes nothing", func(t *testing.T) {
		c := s.talk(t, 0)
		c.play(t, handshake()[:1])
		defer s.aim(t, membersOf(s.id)[1])()
		moved := s.talkOf(t, c.client)
		moved.play(t, []step{{flags: frame.SYN, first: true, service: unreturned(s.kind)}})
		c.header = header{} // the handshake is no more with this backend
		c.play(t, []step{{from: fromBackend, flags: frame.SYN | frame.ACK}})
		moved.play(t, []step{{say: "of the first one's number", flags: frame.ACK, forged: true, tweak: func(f *frame.Frame) { f.Ack = c.down.next }}})
		moved.play(t, handshake()[1:])
	})
}

// unreturned is what a repeated SYN counts where the client's address is kept.
func unreturned(k kind) ServiceCounters {
	if k == keep {
		return ServiceCounters{NoReturnPath: 1}
	}
	return ServiceCounters{}
}
