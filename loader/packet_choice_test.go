package loader

import (
	"math"
	"net/netip"
	"testing"

	"sluice/internal/nettest/frame"
)

// testChoice: the entry of a service goes by the client's address alone, or a
// SYN takes the less loaded of two members.
func testChoice(t *testing.T, r *rig) {
	r.plain(t, []kind{hide, dsr}, func(t *testing.T, s stand) {
		t.Run("by client", func(t *testing.T) { testByClient(t, s) })
		t.Run("less loaded", func(t *testing.T) { testLessLoaded(t, s) })
		t.Run("balance", func(t *testing.T) { testBalance(t, s) })
		t.Run("SYN again", func(t *testing.T) { testChoiceStays(t, s) })
	})
}

// with changes the service for a case.
func (s stand) with(t *testing.T, edit func(*Service)) stand {
	t.Helper()
	edit(&s.svc)
	mustRig(t, s.d.PutService(s.id, s.svc))
	t.Cleanup(func() {
		mustRig(t, s.d.PutService(s.id, s.kind.service(s.family)))
		s.fillRing(t, s.family, s.kind)
		s.clear(t)
	})
	return s
}

// takes is the member that a SYN of a client reaches.
func (s stand) takes(t *testing.T, client netip.AddrPort, seq uint32) MemberID {
	t.Helper()
	before := s.tally(t)
	in := build(t, frame.Frame{
		SrcMAC: routerMAC, DstMAC: s.ext.mac, Src: client, Dst: s.svc.Listen, Flags: frame.SYN, Seq: seq, Window: 502,
	})
	s.mustRun(t, s.ext, in)
	for id, m := range s.tally(t).since(before).Members {
		if m.SYNs == 1 {
			return id
		}
	}
	t.Fatalf("the SYN of %s went nowhere", client)
	return 0
}

func testByClient(t *testing.T, s stand) {
	s = s.with(t, func(v *Service) { v.ByClient = true })
	seen := map[MemberID]bool{}
	for range 12 {
		client := s.nextClient().Addr()
		first := s.takes(t, netip.AddrPortFrom(client, 1024), 1)
		seen[first] = true
		if want := s.ring(t).Get(s.d.FlowHash(netip.AddrPortFrom(client, 9), s.svc)); first != want {
			t.Errorf("a flow of %s went to %d, the ring says %d", client, first, want)
		}
		for port := uint16(1025); port < 1033; port++ {
			if to := s.takes(t, netip.AddrPortFrom(client, port), 1); to != first {
				t.Errorf("a flow of %s went to %d, the first to %d", client, to, first)
			}
		}
	}
	if len(seen) != 2 {
		t.Errorf("all clients went to members %v", seen)
	}
}

// twoChoices gives every entry both members, in this order or the other.
func (s stand) twoChoices(t *testing.T, first, second Load) stand {
	t.Helper()
	s = s.with(t, func(v *Service) { v.TwoChoices = true })
	seconds, err := s.d.Second(s.id)
	mustRig(t, err)
	m := membersOf(s.id)
	for i := range RingEntries {
		seconds.Set(i, m[1-i%2])
	}
	mustRig(t, s.d.SetLoads(map[MemberID]Load{m[0]: first, m[1]: second}))
	return s
}

func testLessLoaded(t *testing.T, s stand) {
	m := membersOf(s.id)
	for _, c := range []struct {
		first, second Load
		want          MemberID
	}{
		{Load{10, 1}, Load{100, 1}, m[0]},
		{Load{100, 1}, Load{10, 1}, m[1]},
		{Load{100, 20}, Load{10, 1}, m[0]},
		{Load{0, 1}, Load{0, 4}, m[1]},
	} {
		s := s.twoChoices(t, c.first, c.second)
		for range 3 {
			if to := s.takes(t, s.nextClient(), 1); to != c.want {
				t.Errorf("of %+v and %+v a SYN took %d, want %d", c.first, c.second, to, c.want)
			}
		}
	}
	seconds, err := s.d.Second(s.id)
	mustRig(t, err)
	s = s.twoChoices(t, Load{1000, 1}, Load{0, 1})
	for i := range RingEntries {
		seconds.Set(i, 0)
	}
	for range 4 {
		client := s.nextClient()
		if to := s.takes(t, client, 1); to != s.ring(t).Get(s.d.FlowHash(client, s.svc)) {
			t.Errorf("without a second choice a SYN took %d", to)
		}
	}
}

// testBalance: between two loads that are told, new flows share by weight.
func testBalance(t *testing.T, s stand) {
	s = s.twoChoices(t, Load{0, 1}, Load{0, 3})
	const n = 400
	took := map[MemberID]int{}
	for range n {
		took[s.takes(t, s.nextClient(), 1)]++
	}
	if got := float64(took[membersOf(s.id)[1]]) / n; math.Abs(got-0.75) > 0.01 {
		t.Errorf("a weight of 3 in 4 took %.3f of the flows: %v", got, took)
	}
}

// testChoiceStays: a SYN that is repeated goes where it went, whatever loads say
// by now, and its flow stays there.
func testChoiceStays(t *testing.T, s stand) {
	s = s.twoChoices(t, Load{0, 1}, Load{50, 1})
	m := membersOf(s.id)
	client := s.nextClient()
	if to := s.takes(t, client, 7); to != m[0] {
		t.Fatalf("the SYN went to %d", to)
	}
	mustRig(t, s.d.SetLoads(map[MemberID]Load{m[0]: {1000, 1}}))
	if to := s.takes(t, client, 7); to != m[0] {
		t.Errorf("the SYN again went to %d", to)
	}
	if s.kind != dsr {
		return
	}
	c := s.talkOf(t, client)
	c.member = m[0]
	members, err := s.d.Members()
	mustRig(t, err)
	c.to = members[m[0]]
	c.up.isn, c.up.next = 7, 8
	c.ring(t).Set(c.entry(), m[1])
	c.mark(t, 0)
	c.play(t, []step{
		{say: "looked up without a mark", flags: frame.ACK, member: opened, state: FlowYoung},
		{flags: frame.ACK, data: "x", state: FlowYoung},
	})
}
