package loader

import (
	"testing"

	"sluice/internal/nettest/frame"
)

// refusedOnce is what a refused connection counts.
var refusedOnce = ServiceCounters{Refused: 1}

// testRefuse: a new connection that cannot be served is told so at once.
func testRefuse(t *testing.T, r *rig) {
	r.stands(t, []kind{empty}, testNoBackend)
	r.plain(t, steering, testRingEmptied)
	r.plain(t, steering, testOwner)
	r.plain(t, []kind{local, single}, testOwnerLocal)
	r.plain(t, steering, testMemberRemoved)
	r.plain(t, []kind{hide}, testHostShared)
	r.plain(t, []kind{hide, keep}, testRingNamesNobody)
}

func testNoBackend(t *testing.T, s stand) {
	syns := map[string]step{
		"SYN":           {flags: frame.SYN, tweak: withMSS},
		"SYN with data": {flags: frame.SYN, data: "early"},
		"SYN and FIN":   {flags: frame.SYN | frame.FIN},
		"SYN padded":    {flags: frame.SYN, tweak: func(f *frame.Frame) { f.Length = 90 }},
		"SYN, TTL 1":    {flags: frame.SYN, tweak: func(f *frame.Frame) { f.TTL = new(uint8(1)) }},
	}
	for name, syn := range syns {
		t.Run(name, func(t *testing.T) {
			s.events(t)
			syn.does, syn.why, syn.service = refused, "no_backend", refusedOnce
			c := s.talkOf(t, s.nextClient())
			c.play(t, []step{syn, syn})
			event := Event{Kind: EventRefused, Reason: "no_backend", Service: s.id, Client: c.client}
			s.wantEvents(t, event, event)
		})
	}
}

// testRingEmptied: with the last backend gone from the ring nothing new begins,
// and the living goes on.
func testRingEmptied(t *testing.T, s stand) {
	c := s.established(t, 0)
	begun := s.talk(t, 0)
	begun.play(t, handshake()[:2])
	defer s.aim(t, 0)()
	c.both(t, step{}, step{})
	s.talkOf(t, s.nextClient()).play(t, []step{{flags: frame.SYN, does: refused, why: "no_backend", service: refusedOnce}})
	if s.svc.Mode == ModeNAT {
		begun.play(t, handshake()[2:])
	}
}

// owned writes the owner word of the stand's VIP.
func (s stand) owned(t *testing.T, word bpfOwner) {
	t.Helper()
	mustRig(t, s.d.objs.Owners.Put(s.d.owners[s.svc.Listen.Addr()], &word))
}

// testOwner: a VIP that another gateway owns is let go of, living flows and all, in both directions.
func testOwner(t *testing.T, s stand) {
	defer s.owned(t, bpfOwner{Active: 1})
	c := s.established(t, 0)
	now, err := clock()
	mustRig(t, err)
	closed := step{does: silent, why: "not_owner"}
	for _, word := range []bpfOwner{{}, {Active: 1, Until: uint64(now)}, {Until: uint64(now) + 3600e9}} {
		s.owned(t, word)
		c.both(t, closed, closed)
		s.talk(t, 0).play(t, []step{{flags: frame.SYN, does: silent, why: "not_owner"}})
	}
	for _, word := range []bpfOwner{{Active: 1, Until: uint64(now) + 3600e9}, {Active: 1}} {
		s.owned(t, word)
		c.both(t, step{}, step{})
		s.established(t, 1)
	}
}

func testOwnerLocal(t *testing.T, s stand) {
	defer s.owned(t, bpfOwner{Active: 1})
	s.owned(t, bpfOwner{})
	s.talkOf(t, s.nextClient()).play(t, []step{{flags: frame.SYN, does: silent, why: "not_owner"}})
}

// testMemberRemoved: the flows of a member that is gone are unknown, in both
// directions; those of the other member are not touched.
func testMemberRemoved(t *testing.T, s stand) {
	gone, stays := s.established(t, 0), s.established(t, 1)
	members, err := s.d.Members()
	mustRig(t, err)
	mustRig(t, s.d.DeleteMember(gone.member))
	defer func() { mustRig(t, s.d.PutMember(gone.member, members[gone.member])) }()
	up := step{flags: frame.ACK, data: "x", does: silent, why: "unknown_flow", state: gone.state(t), lone: true}
	gone.play(t, []step{up, {from: fromBackend, flags: frame.ACK, data: "x", does: passed, state: up.state, lone: true}})
	mustRig(t, s.d.SetResetUnknown(true))
	defer func() { mustRig(t, s.d.SetResetUnknown(false)) }()
	up.does = refused
	gone.play(t, []step{up})
	stays.both(t, step{}, step{})
	// The client may come back, by the same port even.
	defer s.aim(t, stays.member)()
	again := s.talkOf(t, gone.client)
	again.play(t, []step{{flags: frame.SYN, first: true, state: up.state, lone: true}})
	if s.svc.Mode == ModeNAT {
		again.play(t, []step{{from: fromBackend, flags: frame.SYN | frame.ACK, state: up.state, lone: true}})
	}
	at, f := again.segment(fromClient, frame.ACK, "")
	again.mustRun(t, at, build(t, f))
	again.play(t, []step{{flags: frame.ACK, data: "x", state: up.state}})
}

// testHostShared: another service's member answers from the same address and
// port, so the address is still known when this one's member is gone.
func testHostShared(t *testing.T, s stand) {
	gone := s.established(t, 0)
	members, err := s.d.Members()
	mustRig(t, err)
	other := pooled
	neighbour := stand{rig: s.rig, family: s.family, kind: other, id: other.id(s.family), svc: other.service(s.family)}.established(t, 0)
	if s.d.hosts[gone.member] != s.d.hosts[neighbour.member] {
		t.Fatal("the two members do not share a host")
	}
	mustRig(t, s.d.DeleteMember(gone.member))
	defer func() { mustRig(t, s.d.PutMember(gone.member, members[gone.member])) }()
	neighbour.both(t, step{}, step{})
	at, f := gone.segment(fromBackend, frame.ACK, "x")
	s.untouched(t, at, build(t, f))
}

// testRingNamesNobody: a ring that names a member without a record is a fault
// of ours, told to the client and counted.
func testRingNamesNobody(t *testing.T, s stand) {
	defer s.aim(t, MemberID(maxMember+5))()
	s.talkOf(t, s.nextClient()).play(t, []step{{flags: frame.SYN, does: refused, why: "internal", service: refusedOnce}})
}
