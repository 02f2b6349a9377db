package loader

import (
	"testing"

	"sluice/internal/nettest/frame"
)

// testLocal: mode sshd counts and passes, whatever the packet is.
func testLocal(t *testing.T, r *rig) {
	r.stands(t, []kind{local, single}, func(t *testing.T, s stand) {
		for name, stray := range strays {
			t.Run(name, func(t *testing.T) { s.accepted(t, stray) })
		}
		s.accepted(t, step{flags: frame.SYN, tweak: withMSS})
		s.accepted(t, step{flags: frame.SYN, data: "early"})
	})
}

// accepted checks a packet that is counted for the service and passed up.
func (s stand) accepted(t *testing.T, one step) {
	t.Helper()
	c := s.talkOf(t, s.nextClient())
	_, f := c.next(one)
	in := build(t, f)
	want := ServiceCounters{PacketsIn: 1, BytesIn: uint64(ipLength(in))}
	if f.Flags&(frame.SYN|frame.ACK) == frame.SYN {
		want.SYNs = 1
	}
	counts := tally{Services: map[ServiceID]ServiceCounters{s.id: want}}
	s.check(t, s.ext, in, expected{verdict: xdpPass, out: in, counts: counts})
}
