package loader

import (
	"testing"

	"sluice/internal/nettest/frame"
)

// strays are packets of no known flow, by what they must be answered with once
// the node knows all there is to know.
var strays = map[string]step{
	"ACK":          {flags: frame.ACK},
	"data":         {flags: frame.ACK | frame.PSH, data: "some data"},
	"FIN":          {flags: frame.FIN | frame.ACK},
	"FIN and data": {flags: frame.FIN | frame.ACK, data: "last words"},
	"FIN alone":    {flags: frame.FIN},
	"no flags":     {},
	"data, no ACK": {flags: frame.PSH, data: "odd"},
	"SYN-ACK":      {flags: frame.SYN | frame.ACK},
	"all but RST":  {flags: 0xff &^ frame.RST, data: "x"},
	"with options": {flags: frame.ACK, data: "x", tweak: withMSS},
	"padded":       {flags: frame.ACK, tweak: func(f *frame.Frame) { f.Length = 90 }},
	"large":        {flags: frame.ACK, tweak: func(f *frame.Frame) { f.Payload = make([]byte, 1390) }},
	"last hop":     {flags: frame.ACK, tweak: func(f *frame.Frame) { f.TTL = new(uint8(1)) }},
	"RST":          {flags: frame.RST},
	"RST and ACK":  {flags: frame.RST | frame.ACK},
	"SYN and RST":  {flags: frame.SYN | frame.RST},
}

// testUnknown: a packet of no known flow is dropped and counted, and answered by
// a reset only once the node cannot learn of the flow any more.
func testUnknown(t *testing.T, r *rig) {
	kinds := append([]kind{empty}, natKinds...)
	r.stands(t, kinds, func(t *testing.T, s stand) { testStrays(t, s, silent) })
	mustRig(t, r.d.SetResetUnknown(true))
	r.stands(t, kinds, func(t *testing.T, s stand) { testStrays(t, s, refused) })
	t.Run("from a time on", func(t *testing.T) { testResetLater(t, r) })
	mustRig(t, r.d.SetResetUnknown(false))
	r.stands(t, withNodes, testUnknownDSR)
	r.plain(t, natKinds, testUnknownAnswers)
}

func testStrays(t *testing.T, s stand, does outcome) {
	for name, stray := range strays {
		t.Run(name, func(t *testing.T) {
			stray.does, stray.why = does, "unknown_flow"
			if stray.flags&frame.RST != 0 {
				stray.does = silent // a reset is never answered
			}
			c := s.talkOf(t, s.nextClient())
			c.down.next = 0x01020304
			c.play(t, []step{stray})
		})
	}
}

// testResetLater: the moment lies in the future until it has come.
func testResetLater(t *testing.T, r *rig) {
	now, err := clock()
	mustRig(t, err)
	r.plain(t, []kind{hide}, func(t *testing.T, s stand) {
		mustRig(t, r.d.control(func(c *bpfControl) { c.ResetUnknownFrom = uint64(now) + 3600e9 }))
		testStrays(t, s, silent)
		mustRig(t, r.d.control(func(c *bpfControl) { c.ResetUnknownFrom = uint64(now) }))
		testStrays(t, s, refused)
	})
}

// testUnknownDSR: where every gateway knows the way by the ring, a flow without
// an entry goes on.
func testUnknownDSR(t *testing.T, s stand) {
	for name, stray := range strays {
		t.Run(name, func(t *testing.T) {
			if stray.flags&frame.SYN != 0 || name == "last hop" {
				return
			}
			s.talk(t, 0).play(t, []step{stray})
			s.talk(t, 1).play(t, []step{stray})
		})
	}
}

// testUnknownAnswers: a backend's packet that answers none of our flows is none
// of ours, such as those of the gateway's own connections.
func testUnknownAnswers(t *testing.T, s stand) {
	mustRig(t, s.d.SetResetUnknown(true))
	defer func() { mustRig(t, s.d.SetResetUnknown(false)) }()
	for name, stray := range strays {
		t.Run(name, func(t *testing.T) {
			c := s.talk(t, 0)
			c.source = withPort(s.pool[0], 3999)
			if s.kind == keep {
				c.source = c.client
			}
			stray.from, stray.does = fromBackend, passed
			c.play(t, []step{stray})
		})
	}
}
