package loader

import (
	"testing"

	"sluice/internal/nettest/frame"
)

// opened and closed are what the begin and the end of a flow count.
var (
	opened = MemberCounters{FlowsOpened: 1}
	closed = MemberCounters{FlowsClosed: 1}
)

// handshake are the steps to an established flow.
func handshake() []step {
	return []step{
		{flags: frame.SYN, first: true, tweak: withMSS},
		{from: fromBackend, flags: frame.SYN | frame.ACK, tweak: withMSS},
		{flags: frame.ACK, member: opened, state: FlowEstablished},
	}
}

// dsrHandshake is the same where answers are not seen.
func dsrHandshake() []step {
	return []step{
		{flags: frame.SYN, tweak: withMSS},
		{from: fromBackend, flags: frame.SYN | frame.ACK},
		{flags: frame.ACK, member: opened, state: FlowYoung},
	}
}

func withMSS(f *frame.Frame) { f.Options = frame.Options(frame.MSS(1460), frame.Timestamps(1, 0)) }

// established is a talk after its handshake.
func (s stand) established(t *testing.T, which int) *talk {
	t.Helper()
	c := s.talk(t, which)
	c.greet(t)
	return c
}

// greet plays the handshake as the mode sees it.
func (c *talk) greet(t *testing.T) {
	t.Helper()
	if c.svc.Mode.OneWay() {
		c.play(t, dsrHandshake())
	} else {
		c.play(t, handshake())
	}
}

// scenarios of a whole connection in nat, from SYN to the end.
var natTalks = map[string][]step{
	"data and FIN of the client first": {
		{flags: frame.ACK | frame.PSH, data: "SSH-2.0-client\r\n", state: FlowEstablished},
		{from: fromBackend, flags: frame.ACK, state: FlowEstablished},
		{from: fromBackend, flags: frame.ACK | frame.PSH, data: "SSH-2.0-backend\r\n", state: FlowEstablished},
		{flags: frame.ACK, state: FlowEstablished},
		{flags: frame.FIN | frame.ACK, state: FlowHalfClosed},
		{from: fromBackend, flags: frame.ACK, state: FlowHalfClosed},
		{say: "data after FIN", from: fromBackend, flags: frame.ACK, data: "still talking", state: FlowHalfClosed},
		{flags: frame.ACK, state: FlowHalfClosed},
		{from: fromBackend, flags: frame.FIN | frame.ACK, member: closed, state: FlowClosed},
		{flags: frame.ACK, state: FlowClosed},
	},
	"FIN of the backend first": {
		{from: fromBackend, flags: frame.FIN | frame.ACK, data: "bye", state: FlowHalfClosed},
		{flags: frame.ACK, state: FlowHalfClosed},
		{say: "client goes on", flags: frame.ACK, data: "not yet", state: FlowHalfClosed},
		{flags: frame.FIN | frame.ACK, member: closed, state: FlowClosed},
		{from: fromBackend, flags: frame.ACK, state: FlowClosed},
	},
	"both FINs at once": {
		{flags: frame.FIN | frame.ACK, state: FlowHalfClosed},
		{from: fromBackend, flags: frame.FIN | frame.ACK, tweak: func(f *frame.Frame) { f.Ack-- }, member: closed, state: FlowClosed},
		{flags: frame.ACK, state: FlowClosed},
		{from: fromBackend, flags: frame.ACK, state: FlowClosed},
	},
	"FINs repeated": {
		{flags: frame.FIN | frame.ACK, state: FlowHalfClosed},
		{flags: frame.FIN | frame.ACK, again: true, state: FlowHalfClosed},
		{flags: frame.FIN | frame.ACK, again: true, state: FlowHalfClosed},
		{from: fromBackend, flags: frame.FIN | frame.ACK, member: closed, state: FlowClosed},
		{from: fromBackend, flags: frame.FIN | frame.ACK, again: true, state: FlowClosed},
		{flags: frame.ACK, state: FlowClosed},
	},
	"reset by the client": {
		{flags: frame.ACK, data: "x", state: FlowEstablished},
		{flags: frame.RST | frame.ACK, member: closed, state: FlowClosed},
		{say: "what was on its way", from: fromBackend, flags: frame.ACK, data: "late", state: FlowClosed},
		{flags: frame.RST, state: FlowClosed},
	},
	"reset by the backend": {
		{from: fromBackend, flags: frame.RST, member: closed, state: FlowClosed},
		{flags: frame.ACK, data: "late", state: FlowClosed},
		{from: fromBackend, flags: frame.RST, state: FlowClosed},
	},
	"reset after FIN": {
		{flags: frame.FIN | frame.ACK, state: FlowHalfClosed},
		{flags: frame.RST | frame.ACK, member: closed, state: FlowClosed},
	},
	"handshake repeated": {
		{say: "SYN-ACK again, the ACK was lost", from: fromBackend, flags: frame.SYN | frame.ACK, again: true, tweak: withMSS, state: FlowEstablished},
		{flags: frame.ACK, state: FlowEstablished},
	},
	"retransmission": {
		{flags: frame.ACK, data: "some data", state: FlowEstablished},
		{flags: frame.ACK, data: "some data", again: true, state: FlowEstablished},
		{from: fromBackend, flags: frame.ACK, data: "answer", state: FlowEstablished},
		{from: fromBackend, flags: frame.ACK, data: "answer", again: true, state: FlowEstablished},
	},
	"odd flags": {
		{say: "none at all", state: FlowEstablished},
		{say: "urgent", flags: frame.ACK | frame.URG | frame.PSH, data: "!", tweak: func(f *frame.Frame) { f.Urgent = 1 }, state: FlowEstablished},
		{say: "congestion", flags: frame.ACK | frame.ECE | frame.CWR, state: FlowEstablished},
		{say: "keepalive", flags: frame.ACK, tweak: func(f *frame.Frame) { f.Seq-- }, state: FlowEstablished},
		{say: "window probe", from: fromBackend, flags: frame.ACK, tweak: func(f *frame.Frame) { f.Seq-- }, state: FlowEstablished},
		{say: "padded to 60 bytes", flags: frame.ACK, tweak: func(f *frame.Frame) { f.Length = 90 }, state: FlowEstablished},
		{say: "largest", flags: frame.ACK, tweak: func(f *frame.Frame) { f.Payload = make([]byte, 1400) }, state: FlowEstablished},
	},
}

var dsrTalks = map[string][]step{
	"data and FIN": {
		{flags: frame.ACK | frame.PSH, data: "SSH-2.0-client\r\n", state: FlowYoung},
		{from: fromBackend, flags: frame.ACK, data: "SSH-2.0-backend\r\n"},
		{flags: frame.ACK, state: FlowYoung},
		{flags: frame.FIN | frame.ACK, state: FlowHalfClosed},
		{flags: frame.FIN | frame.ACK, again: true, state: FlowHalfClosed},
		{from: fromBackend, flags: frame.FIN | frame.ACK},
		{flags: frame.ACK, state: FlowHalfClosed},
	},
	"reset": {
		{flags: frame.RST, member: closed, state: FlowClosed},
		{flags: frame.RST, state: FlowClosed},
	},
	"first data in place of the ACK": {
		{flags: frame.ACK, data: "x", state: FlowYoung},
	},
}

func testHandshake(t *testing.T, r *rig) {
	r.stands(t, natKinds, func(t *testing.T, s stand) {
		for name, steps := range natTalks {
			for which := range 2 {
				t.Run(name, func(t *testing.T) { s.established(t, which).play(t, steps) })
			}
		}
	})
	r.stands(t, withNodes, func(t *testing.T, s stand) {
		for name, steps := range dsrTalks {
			for which := range 2 {
				t.Run(name, func(t *testing.T) { s.established(t, which).play(t, steps) })
			}
		}
	})
	r.stands(t, natKinds, testBeginnings)
}

// beginnings are handshakes that do not go as in the book.
var beginnings = map[string][]step{
	"refused by the backend": {
		{flags: frame.SYN, first: true},
		{from: fromBackend, flags: frame.RST | frame.ACK},
		{say: "the client tries again", flags: frame.SYN, again: true},
	},
	"given up by the client": {
		{flags: frame.SYN, first: true},
		{flags: frame.RST},
	},
	"given up after the SYN-ACK": {
		{flags: frame.SYN, first: true},
		{from: fromBackend, flags: frame.SYN | frame.ACK},
		{flags: frame.RST},
	},
	"ACK lost, data completes": {
		{flags: frame.SYN, first: true},
		{from: fromBackend, flags: frame.SYN | frame.ACK},
		{flags: frame.ACK, data: "SSH-2.0-client\r\n", member: opened, state: FlowEstablished},
	},
	"ACK lost, FIN completes": {
		{flags: frame.SYN, first: true},
		{from: fromBackend, flags: frame.SYN | frame.ACK},
		{flags: frame.FIN | frame.ACK, data: "all at once", member: opened, state: FlowHalfClosed},
		{from: fromBackend, flags: frame.FIN | frame.ACK, member: closed, state: FlowClosed},
	},
	"first segments lost, a later one completes": {
		{flags: frame.SYN, first: true},
		{from: fromBackend, flags: frame.SYN | frame.ACK},
		{flags: frame.ACK, data: "x", tweak: func(f *frame.Frame) { f.Seq += 5000 }, member: opened, state: FlowEstablished},
	},
	"ACK of another number completes nothing": {
		{flags: frame.SYN, first: true},
		{from: fromBackend, flags: frame.SYN | frame.ACK},
		{flags: frame.ACK, tweak: func(f *frame.Frame) { f.Ack-- }},
		{flags: frame.ACK, tweak: func(f *frame.Frame) { f.Ack += 1 << 16 }},
		{flags: frame.ACK, tweak: func(f *frame.Frame) { f.Seq-- }},
		{flags: frame.ACK, tweak: func(f *frame.Frame) { f.Seq += 1 << 16 }},
		{flags: frame.PSH},
		{flags: frame.ACK, member: opened, state: FlowEstablished},
	},
	"ACK without a SYN-ACK completes nothing": {
		{flags: frame.SYN, first: true},
		{flags: frame.ACK},
		{say: "ACK of a number that an empty record holds", flags: frame.ACK, tweak: func(f *frame.Frame) { f.Ack = 1 }},
		{say: "SYN-ACK of another SYN", from: fromBackend, flags: frame.SYN | frame.ACK, tweak: func(f *frame.Frame) { f.Ack-- }},
		{say: "and of yet another", from: fromBackend, flags: frame.SYN | frame.ACK, tweak: func(f *frame.Frame) { f.Ack += 1 << 16 }},
		{flags: frame.ACK},
	},
	"SYN with data": {
		{flags: frame.SYN, data: "early", first: true},
		{from: fromBackend, flags: frame.SYN | frame.ACK},
		{flags: frame.ACK, member: opened, state: FlowEstablished},
	},
	"SYN with all flags but ACK and RST": {
		{flags: frame.SYN | frame.FIN | frame.PSH | frame.URG | frame.ECE | frame.CWR, first: true},
	},
}

func testBeginnings(t *testing.T, s stand) {
	for name, steps := range beginnings {
		t.Run(name, func(t *testing.T) { s.talk(t, 0).play(t, steps) })
	}
}
