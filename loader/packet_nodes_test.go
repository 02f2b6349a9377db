package loader

import (
	"maps"
	"net"
	"net/netip"
	"testing"

	"sluice/internal/nettest/frame"
)

// testNodes: what a service of nodes has beyond the other one-way ones, whose
// themes it takes part in: a member that is this node, and frames that another
// node sent on.
func testNodes(t *testing.T, r *rig) {
	r.stands(t, []kind{nodes}, func(t *testing.T, s stand) {
		t.Run("nothing is between us", func(t *testing.T) { testOwnMember(t, s) })
		t.Run("sent on", func(t *testing.T) { testSentOn(t, s) })
		t.Run("guard", func(t *testing.T) { testSentOnGuarded(t, s) })
		t.Run("flows stay", func(t *testing.T) { testNodeFlowsStay(t, s) })
		t.Run("errors", func(t *testing.T) { testNodeErrors(t, s) })
	})
	r.plain(t, []kind{dsr, hide}, testSentOnIsNothing)
	r.plain(t, tunnelKinds, testSentOnByTunnel)
	r.plain(t, []kind{nodes}, testOwnSocket)
	r.plain(t, []kind{nodes}, testNodeRecords)
	r.plain(t, []kind{nodes}, testNodeSettings)
	t.Run("who they are", func(t *testing.T) { testSetNodes(t, r) })
	t.Run("inside others", func(t *testing.T) { testParcels(t, r) })
}

// testOwnMember: what is for this node needs neither hops left nor a way, and is
// bound by no MTU but that of the interface it came in by.
func testOwnMember(t *testing.T, s stand) {
	c := s.established(t, 0)
	for name, tweak := range map[string]func(*frame.Frame){
		"last hop": func(f *frame.Frame) { f.TTL = new(uint8(1)) },
		"large":    func(f *frame.Frame) { f.Payload = make([]byte, 2000) },
		"padded":   func(f *frame.Frame) { f.Length = 120 },
	} {
		c.play(t, []step{{say: name, flags: frame.ACK, state: FlowYoung, tweak: tweak}})
	}
	defer s.setHops(t, outer(s.tags))
	for id, h := range s.hops {
		h.Ready = false
		mustRig(t, s.d.PutNextHop(id, h))
	}
	c.play(t, []step{{flags: frame.ACK, data: "x", state: FlowYoung}})
	s.established(t, 0)
}

// asNode makes far a node for as long as a case runs.
func (s stand) asNode(t *testing.T) (undo func()) {
	t.Helper()
	mustRig(t, s.d.SetNodes(Nodes{MACs: []net.HardwareAddr{farMAC}}))
	return func() { mustRig(t, s.d.SetNodes(Nodes{})) }
}

// testSentOn: a frame that a node sent on ends here whatever the ring, the flow
// table and the owner word say, and is counted for the service alone.
func testSentOn(t *testing.T, s stand) {
	defer s.asNode(t)()
	away := s.established(t, 1)
	setOwner := func(open bool) { mustRig(t, s.d.SetOwner(s.vip, open)) }
	defer setOwner(true)
	for _, open := range []bool{true, false} {
		setOwner(open)
		for _, c := range []*talk{away, s.talk(t, 1), s.talk(t, 0)} {
			for _, flags := range []frame.Flags{frame.SYN, frame.ACK, frame.FIN | frame.ACK, frame.RST} {
				_, f := c.next(step{flags: flags, forged: true})
				f.SrcMAC = farMAC
				in := build(t, f)
				want := ServiceCounters{PacketsIn: 1, BytesIn: uint64(ipLength(in))}
				if flags == frame.SYN {
					want.SYNs = 1
				}
				s.check(t, s.ext, in, expected{
					verdict: xdpPass, out: in, counts: tally{Services: map[ServiceID]ServiceCounters{s.id: want}},
				})
			}
		}
		away.checkEntry(t, step{state: FlowYoung})
	}
	// Of whom it is not known, a closed word holds.
	c := s.talk(t, 0)
	c.play(t, []step{{flags: frame.SYN, does: silent, why: "not_owner"}})
	setOwner(true)
	c.play(t, dsrHandshake())
}

// testSentOnGuarded: who must stay out stays out behind another node, too, in a
// frame of it or inside a packet. Nobody is challenged there.
func testSentOnGuarded(t *testing.T, s stand) {
	mustRig(t, s.d.SetNodes(Nodes{MACs: []net.HardwareAddr{farMAC}, Own: []netip.Addr{s.home}, Others: []netip.Addr{s.near.Addr()}}))
	defer func() { mustRig(t, s.d.SetNodes(Nodes{})) }()
	c := s.talk(t, 1)
	s.guarded(t, Guard{Deny: []netip.Prefix{around(c.client.Addr())}})
	_, f := c.next(step{flags: frame.ACK, data: "x", forged: true})
	f.SrcMAC = farMAC
	in := build(t, f)
	want := expected{verdict: xdpDrop, counts: dropped("denied", in)}
	s.check(t, s.ext, in, want)
	s.check(t, s.ext, build(t, s.parcel(t, ModeIPIP, s.near.Addr(), s.home, f)), want)
}

// testSentOnIsNothing: a node's frame is like any other to other services.
func testSentOnIsNothing(t *testing.T, s stand) {
	defer s.asNode(t)()
	c := s.talk(t, 0)
	first := step{flags: frame.SYN, first: s.svc.Mode == ModeNAT, tweak: func(f *frame.Frame) { f.SrcMAC = farMAC }}
	c.play(t, []step{first})
}

// testSentOnByTunnel: where nodes put packets into others a frame is nobody's: a
// node may be the router that all clients are behind.
func testSentOnByTunnel(t *testing.T, s stand) {
	defer s.asNode(t)()
	svc := s.svc
	svc.Nodes = true
	mustRig(t, s.d.PutService(s.id, svc))
	defer func() { mustRig(t, s.d.PutService(s.id, s.svc)) }()
	testSentOnIsNothing(t, s)
}

// testNodeFlowsStay: flows of this node and of others stay where they are while
// the ring names somebody else, and what is new goes there.
func testNodeFlowsStay(t *testing.T, s stand) {
	here, away := s.established(t, 0), s.established(t, 1)
	m := membersOf(s.id)
	for _, turn := range []struct {
		to   MemberID
		what []*talk
	}{{m[1], []*talk{here, away}}, {m[0], []*talk{here, away}}} {
		restore := s.aim(t, turn.to)
		for _, c := range turn.what {
			c.play(t, []step{{flags: frame.ACK | frame.PSH, data: "still here", state: FlowYoung}})
		}
		fresh := s.talkOf(t, s.nextClient())
		if fresh.member != turn.to {
			t.Fatalf("the ring names member %d, want %d", fresh.member, turn.to)
		}
		fresh.play(t, dsrHandshake())
		restore()
	}
	for _, c := range []*talk{here, away} {
		c.play(t, []step{{flags: frame.RST, member: closed, state: FlowClosed}})
	}
}

// testOwnSocket: a packet of a connection that this node has stays here, whoever
// the ring names. A SYN, a listener alone and other connections do not count, and
// that they were asked for is counted nowhere.
func testOwnSocket(t *testing.T, s stand) {
	mustRig(t, s.ns.Up("lo"))
	single := netip.PrefixFrom(s.vip, s.vip.BitLen())
	mustRig(t, s.ns.AddAddr("lo", single))
	defer func() { mustRig(t, s.ns.DelAddr("lo", single)) }()
	mustRig(t, s.ns.Settled(t.Context()))
	l, err := s.ns.Listen(withPort(s.home, 4321))
	mustRig(t, err)
	f, err := l.(*net.TCPListener).File()
	mustRig(t, err)
	mustRig(t, s.d.SetListener(s.id, f))
	conn, err := s.ns.Dial(t.Context(), s.svc.Listen)
	mustRig(t, err)
	defer conn.Close()
	accepted, err := l.Accept()
	mustRig(t, err)
	defer accepted.Close()
	client := netip.MustParseAddrPort(conn.LocalAddr().String())

	here := membersOf(s.id)[0]
	defer s.aim(t, membersOf(s.id)[1])()
	own := s.talkOf(t, client)
	for _, listens := range []bool{true, false} {
		if !listens {
			mustRig(t, l.Close())
			mustRig(t, f.Close())
		}
		for _, marks := range []uint32{0, movedNew} { // by the short way and by the table
			own.mark(t, marks)
			if marks != 0 { // whoever had the VIP before may know of another node
				_, err := s.d.ImportFlows([]FlowRecord{{FlowKey: own.flowKey(), Member: membersOf(s.id)[1], State: FlowEstablished}})
				mustRig(t, err)
			}
			_, fr := own.next(step{flags: frame.ACK, data: "mine", forged: true})
			in := build(t, fr)
			counts := own.counts(step{flags: frame.ACK}, in)
			counts.Members = map[MemberID]MemberCounters{here: {PacketsIn: 1, BytesIn: uint64(ipLength(in))}}
			s.check(t, s.ext, in, expected{verdict: xdpPass, out: in, counts: counts})
			other := s.talkOf(t, s.nextClient())
			other.mark(t, marks)
			other.play(t, []step{{say: "another's", flags: frame.ACK, data: "x"}})
		}
	}
	s.clear(t)
	own.play(t, []step{{say: "begins anew", flags: frame.SYN}})
}

// testNodeErrors: an ICMP error goes where its flow is, and up if a node sent it
// on.
func testNodeErrors(t *testing.T, s stand) {
	for which := range 2 {
		c := s.established(t, which)
		_, sent := c.segment(fromBackend, frame.ACK, "data")
		sent.Src, sent.Dst = c.svc.Listen, c.client
		at, f := c.report(fromClient, s.router, icmpErrors(s.client.Is4())["time exceeded"], packet(t, sent, 8))
		f.Dst = withPort(s.vip, 0)
		in := build(t, f)
		want := expected{verdict: xdpPass, out: in, counts: c.reported(fromClient, in)}
		if which == 1 {
			out := hops(f, 1)
			out.SrcMAC, out.DstMAC = c.hops[c.to.NextHop].Source, c.hops[c.to.NextHop].Destination
			want.verdict, want.out = c.forwarded(fromClient), build(t, out)
		}
		s.check(t, at, in, want)
		undo := s.asNode(t)
		f.SrcMAC = farMAC
		in = build(t, f)
		s.check(t, at, in, expected{verdict: xdpPass, out: in})
		undo()
	}
}

// testNodeRecords: what a process reads back of another one's records.
func testNodeRecords(t *testing.T, s stand) {
	adopted := &Dataplane{objs: s.d.objs}
	mustRig(t, adopted.adopt())
	if got := adopted.services[s.id]; !got.Nodes || got.Mode != ModeDSR || got.Local != membersOf(s.id)[0] {
		t.Errorf("the service is adopted as %+v", got)
	}
	m := membersOf(s.id)
	if !adopted.members[m[0]].Local || adopted.members[m[1]].Local {
		t.Errorf("the members are adopted as %+v and %+v", adopted.members[m[0]], adopted.members[m[1]])
	}
}

// testNodeSettings: records that make no sense are refused, and a VIP of nodes
// begins without an owner.
func testNodeSettings(t *testing.T, s stand) {
	if err := s.d.PutService(500, Service{Listen: withPort(s.twin, 4000), Mode: ModeNAT, Nodes: true}); err == nil {
		t.Error("nodes in mode nat are accepted")
	}
	if err := s.d.PutService(500, Service{Listen: withPort(s.twin, 4000), Mode: ModeDSR, Local: 1}); err == nil {
		t.Error("a member that is this node is accepted for a service in mode dsr")
	}
	if err := s.d.PutMember(4000, Member{Service: dsr.id(s.family), Addr: withPort(s.home, 24), Local: true}); err == nil {
		t.Error("this node is accepted as member of a service in mode dsr")
	}
	stranger := s.stranger
	if _, err := s.d.Owner(stranger); err == nil {
		t.Error("a VIP of no service has an owner word")
	}
	if err := s.d.SetOwner(stranger, true); err == nil {
		t.Error("a VIP of no service can be owned")
	}
	for _, of := range []bool{true, false} {
		mustRig(t, s.d.PutService(500, Service{Listen: withPort(stranger, 22), Mode: ModeDSR, Nodes: of}))
		if open, err := s.d.Owner(stranger); err != nil || open == of {
			t.Errorf("with nodes %v the owner word begins open %v: %v", of, open, err)
		}
		mustRig(t, s.d.DeleteService(500))
	}
}

// testSetNodes: the maps hold what was said last.
func testSetNodes(t *testing.T, r *rig) {
	defer func() { mustRig(t, r.d.SetNodes(Nodes{})) }()
	a, b := families[0], families[1]
	for _, n := range []Nodes{
		{MACs: []net.HardwareAddr{nearMAC, farMAC}},
		{MACs: []net.HardwareAddr{farMAC, farMAC}, Own: []netip.Addr{a.home, b.home}, Others: []netip.Addr{a.near.Addr()}},
		{Own: []netip.Addr{a.home}, Others: []netip.Addr{a.home, b.near.Addr()}},
		{},
	} {
		mustRig(t, r.d.SetNodes(n))
		macs, roles := map[string]bool{}, map[netip.Addr]uint32{}
		for _, m := range n.MACs {
			macs[m.String()] = true
		}
		for _, o := range n.Own {
			roles[o] |= nodeOwn
		}
		for _, o := range n.Others {
			roles[o] |= nodeOther
		}
		gotMACs, gotRoles := map[string]bool{}, map[netip.Addr]uint32{}
		var value uint32
		var mac bpfNodeMac
		for it := r.d.objs.NodeMacs.Iterate(); it.Next(&mac, &value); {
			gotMACs[net.HardwareAddr(mac.Mac[:]).String()] = true
		}
		var addr bpfAddr
		for it := r.d.objs.NodeAddrs.Iterate(); it.Next(&addr, &value); {
			gotRoles[fromAddr(addr)] = value
		}
		var c bpfControl
		mustRig(t, r.d.objs.Controls.Lookup(uint32(0), &c))
		if !maps.Equal(macs, gotMACs) || !maps.Equal(roles, gotRoles) || (c.Parcels != 0) != (len(n.Own) > 0) {
			t.Errorf("of %+v there are %v, %v, packets inside others %d", n, gotMACs, gotRoles, c.Parcels)
		}
	}
}

// testParcels: what another node sent on inside a packet to this one is taken
// out and ends here, byte for byte; what is anybody else's, or for anybody else,
// is not touched.
func testParcels(t *testing.T, r *rig) {
	for _, outer := range families {
		for name, proto := range map[string]Mode{"ipip": ModeIPIP, "gue": ModeGUE} {
			r.stands(t, []kind{nodes}, func(t *testing.T, s stand) {
				t.Run(name+" over "+outer.name, func(t *testing.T) { testParcel(t, s, outer, proto) })
			})
		}
	}
}

// parcel puts a frame into a packet between two addresses.
func (s stand) parcel(t *testing.T, mode Mode, from, to netip.Addr, f frame.Frame) frame.Frame {
	t.Helper()
	inner := build(t, f)[14+4*len(f.VLANs):]
	out := frame.Frame{
		SrcMAC: routerMAC, DstMAC: s.ext.mac, VLANs: f.VLANs, Src: withPort(from, 0), Dst: withPort(to, 0),
		Payload: inner, Protocol: 4, TOS: f.TOS,
	}
	if inner[0]>>4 == 6 {
		out.Protocol = 41
	}
	if mode == ModeGUE {
		out.Protocol, out.Payload = frame.ProtoUDP, datagram(t, from, to, 50000, inner)
	}
	return out
}

func testParcel(t *testing.T, s stand, outer family, mode Mode) {
	home, other := outer.home, outer.near.Addr()
	mustRig(t, s.d.SetNodes(Nodes{Own: []netip.Addr{home}, Others: []netip.Addr{other}}))
	defer func() { mustRig(t, s.d.SetNodes(Nodes{})) }()
	mustRig(t, s.d.SetOwner(s.vip, false))
	defer func() { mustRig(t, s.d.SetOwner(s.vip, true)) }()
	c := s.talk(t, 1)
	_, f := c.next(step{flags: frame.SYN, data: "x"})
	f.SrcMAC, f.TOS = routerMAC, 2 // ECT(0)
	whole := build(t, f)
	want := tally{Services: map[ServiceID]ServiceCounters{s.id: {PacketsIn: 1, BytesIn: uint64(ipLength(whole)), SYNs: 1}}}
	in := s.parcel(t, mode, other, home, f)
	s.check(t, s.ext, build(t, in), expected{verdict: xdpPass, out: whole, counts: want})

	congested := in
	congested.TOS |= 3
	marked := f
	marked.TOS |= 3
	s.check(t, s.ext, build(t, congested), expected{verdict: xdpPass, out: build(t, marked), counts: want})

	untouched := func(what string, f frame.Frame) {
		t.Helper()
		t.Run(what, func(t *testing.T) { s.untouched(t, s.ext, build(t, f)) })
	}
	untouched("of a stranger", s.parcel(t, mode, outer.stranger, home, f))
	untouched("to another node", s.parcel(t, mode, other, outer.far.Addr(), f))
	elsewhere := f
	elsewhere.Dst = withPort(s.stranger, 22)
	untouched("for no VIP", s.parcel(t, mode, other, home, elsewhere))
	foreign := f
	foreign.Dst = withPort(s.vip, uint16(hide))
	t.Run("for a service without nodes", func(t *testing.T) {
		s.check(t, s.ext, build(t, s.parcel(t, mode, other, home, foreign)), expected{verdict: xdpPass, out: build(t, foreign)})
	})

	dropped := func(what, why string, f frame.Frame) {
		t.Helper()
		t.Run(what, func(t *testing.T) {
			in := build(t, f)
			length := uint64(len(in) - 14 - 4*len(f.VLANs))
			s.check(t, s.ext, in, expected{verdict: xdpDrop, counts: tally{Drops: map[string]DropCounter{why: {Packets: 1, Bytes: length}}}})
		})
	}
	deaf := f
	deaf.TOS = 0
	outside := s.parcel(t, mode, other, home, deaf)
	outside.TOS = 3
	dropped("congested", "congested", outside)
	lying := f
	lying.Lies.IPLength = new(uint16(2000))
	dropped("lying about its length", "length", s.parcel(t, mode, other, home, lying))

	mustRig(t, s.d.SetNodes(Nodes{}))
	untouched("without nodes", in)
}
