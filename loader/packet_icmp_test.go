package loader

import (
	"net/netip"
	"testing"

	"sluice/internal/nettest/frame"
)

// icmpErrors are ICMP's that mean something to TCP, each with the last four bytes
// of its header.
func icmpErrors(v4 bool) map[string]frame.ICMP {
	if v4 {
		return map[string]frame.ICMP{
			"fragmentation needed": {Type: 3, Code: 4, Rest: 1400},
			"port unreachable":     {Type: 3, Code: 3},
			"time exceeded":        {Type: 11},
			"parameter problem":    {Type: 12, Rest: 9 << 24},
		}
	}
	return map[string]frame.ICMP{
		"packet too big":    {Type: 2, Rest: 1400},
		"port unreachable":  {Type: 1, Code: 4},
		"time exceeded":     {Type: 3},
		"parameter problem": {Type: 4, Rest: 40},
	}
}

// quotes are how much of a packet routers quote: what RFC 792 asks for, a whole
// TCP header, all there is.
var quotes = map[string]int{"8 bytes": 8, "TCP header": 20, "all": 1000}

func testICMP(t *testing.T, r *rig) {
	r.stands(t, steering, testErrorToBackend)
	r.stands(t, natKinds, testErrorToClient)
	r.plain(t, natKinds, testErrorInHandshake)
	r.plain(t, oneWay, testErrorByRing)
	r.plain(t, steering, testErrorRefused)
	r.plain(t, steering, testEcho)
	r.plain(t, steering, testErrorDenied)
	r.plain(t, natKinds, testErrorBackDenied)
	r.plain(t, []kind{local}, testErrorLocalDenied)
}

// deniedOnly checks that an error is dropped where its sender is denied, but not
// where only others are: those it concerns among them.
func (s stand) deniedOnly(t *testing.T, c *talk, at iface, in frame.Frame, otherwise expected) {
	t.Helper()
	b := build(t, in)
	t.Run("others", func(t *testing.T) {
		s.guarded(t, Guard{Deny: []netip.Prefix{SourcePrefix(c.client.Addr())}})
		s.check(t, at, b, otherwise)
	})
	t.Run("its sender", func(t *testing.T) {
		s.guarded(t, Guard{Deny: []netip.Prefix{around(in.Src.Addr())}})
		s.check(t, at, b, expected{verdict: xdpDrop, counts: dropped("denied", b)})
	})
	t.Run("its sender, but exempt", func(t *testing.T) {
		s.guarded(t, Guard{Deny: []netip.Prefix{around(in.Src.Addr())}, Exempt: []netip.Prefix{SourcePrefix(in.Src.Addr())}})
		s.check(t, at, b, otherwise)
	})
}

// testErrorDenied: who may send nothing to a VIP may not tell of errors either.
func testErrorDenied(t *testing.T, s stand) {
	c := s.established(t, 0)
	sent := frame.Frame{Src: c.svc.Listen, Dst: c.client, Flags: frame.ACK, Payload: []byte("data")}
	for name, e := range icmpErrors(s.client.Is4()) {
		t.Run(name, func(t *testing.T) {
			at, in := c.report(fromClient, outsider(s.client), e, packet(t, sent, 20))
			in.Dst = withPort(s.vip, 0)
			s.deniedOnly(t, c, at, in, expected{verdict: c.forwarded(fromClient), counts: c.reported(fromClient, build(t, in))})
		})
	}
}

// testErrorBackDenied: nor of errors about what went to a backend.
func testErrorBackDenied(t *testing.T, s stand) {
	c := s.established(t, 0)
	c.both(t, step{}, step{})
	_, sent := c.segment(fromClient, frame.ACK, "data of a client")
	at, in := c.report(fromBackend, outsider(s.client), icmpErrors(s.client.Is4())["port unreachable"], packet(t, c.translated(fromClient, sent), 20))
	in.Dst = withPort(c.source.Addr(), 0)
	s.deniedOnly(t, c, at, in, expected{verdict: c.forwarded(fromBackend), counts: c.reported(fromBackend, build(t, in))})
}

// testErrorLocalDenied: nor to a VIP that ends here.
func testErrorLocalDenied(t *testing.T, s stand) {
	c := s.talkOf(t, s.nextClient())
	sent := frame.Frame{Src: c.svc.Listen, Dst: c.client, Flags: frame.ACK, Payload: []byte("data")}
	at, in := c.report(fromClient, outsider(s.client), icmpErrors(s.client.Is4())["port unreachable"], packet(t, sent, 20))
	in.Dst = withPort(s.vip, 0)
	s.deniedOnly(t, c, at, in, expected{verdict: xdpPass, out: build(t, in)})
}

// outsider is an address far from all others of a family.
func outsider(of netip.Addr) netip.Addr {
	if of.Is4() {
		return addr("203.0.113.9")
	}
	return addr("2001:db8:bad::9")
}

// packet is the IP packet of a frame, quoted bytes of its TCP segment in.
func packet(t testing.TB, f frame.Frame, quoted int) []byte {
	t.Helper()
	head := 14 + 4*len(f.VLANs) + 20
	if f.Src.Addr().Is6() {
		head += 20
	}
	b := build(t, f)
	return b[14+4*len(f.VLANs) : min(head+quoted, len(b))]
}

// report is the ICMP error of a router on the clients' side, or of one behind
// the gateway, about a packet.
func (c *talk) report(at side, from netip.Addr, e frame.ICMP, quote []byte) (iface, frame.Frame) {
	hop := c.via
	if at == fromBackend {
		hop = c.to.NextHop
	}
	f := frame.Frame{
		VLANs: c.tags, SrcMAC: c.hops[hop].Destination, DstMAC: c.at(hop).mac,
		Src: withPort(from, 0), ICMP: &e, Payload: quote,
	}
	return c.at(hop), f
}

// hops is a frame some hops further on its way.
func hops(f frame.Frame, n uint8) frame.Frame {
	ttl := uint8(64)
	if f.TTL != nil {
		ttl = *f.TTL
	}
	f.TTL = new(ttl - n)
	return f
}

// reported is what an error counts that is sent on.
func (c *talk) reported(from side, in []byte) tally {
	bytes := uint64(ipLength(in))
	m, v := MemberCounters{PacketsOut: 1, BytesOut: bytes}, ServiceCounters{ICMPErrors: 1}
	if from == fromClient {
		m, v = MemberCounters{PacketsIn: 1, BytesIn: bytes}, ServiceCounters{PacketsIn: 1, BytesIn: bytes, ICMPErrors: 1}
	}
	return tally{Members: map[MemberID]MemberCounters{c.member: m}, Services: map[ServiceID]ServiceCounters{c.id: v}}
}

// testErrorToBackend: an error about what a backend sent reaches the backend,
// and quotes what it sent.
func testErrorToBackend(t *testing.T, s stand) {
	for which := range 2 {
		c := s.established(t, which)
		_, sent := c.segment(fromBackend, frame.ACK, "data of a backend")
		var seen frame.Frame
		if s.svc.Mode != ModeNAT {
			sent.Src, sent.Dst = c.svc.Listen, c.client // past the gateway
			seen = sent
		} else {
			seen = c.translated(fromBackend, sent)
		}
		for name, e := range icmpErrors(s.client.Is4()) {
			for how, n := range quotes {
				at, in := c.report(fromClient, s.router, e, packet(t, hops(seen, 3), n))
				in.Dst = withPort(s.vip, 0)
				want := hops(in, 1)
				want.SrcMAC, want.DstMAC = c.hops[c.to.NextHop].Source, c.hops[c.to.NextHop].Destination
				if s.svc.Mode == ModeNAT {
					want.Dst = withPort(c.to.Addr.Addr(), 0)
					before := sent
					before.TTL = hops(seen, 3).TTL
					want.Payload = packet(t, before, n)
				}
				if s.svc.Mode == ModeNAT && !s.svc.KeepClient {
					want.Src = withPort(c.source.Addr(), 0)
				}
				if !t.Run(name+", "+how, func(t *testing.T) {
					s.check(t, at, build(t, in), expected{verdict: c.forwarded(fromClient), out: c.wrapped(t, c.to, c.client, build(t, want)), counts: c.reported(fromClient, build(t, in))})
				}) {
					return
				}
			}
		}
	}
}

// testErrorToClient: an error about what a client sent, by a router between the
// gateway and a backend, reaches the client.
func testErrorToClient(t *testing.T, s stand) {
	for which := range 2 {
		c := s.established(t, which)
		c.both(t, step{}, step{}) // by now the backend has what stood before the data
		_, sent := c.segment(fromClient, frame.ACK, "data of a client")
		seen := c.translated(fromClient, sent)
		for name, e := range icmpErrors(s.client.Is4()) {
			for how, n := range quotes {
				at, in := c.report(fromBackend, s.near.Addr(), e, packet(t, hops(seen, 3), n))
				in.Dst = withPort(c.source.Addr(), 0)
				want := hops(in, 1)
				want.SrcMAC, want.DstMAC = c.hops[c.via].Source, c.hops[c.via].Destination
				want.Src, want.Dst = withPort(s.vip, 0), withPort(c.client.Addr(), 0)
				before := sent
				before.TTL = hops(seen, 3).TTL
				want.Payload = packet(t, before, n)
				if !t.Run(name+", "+how, func(t *testing.T) {
					s.check(t, at, build(t, in), expected{verdict: c.forwarded(fromBackend), out: build(t, want), counts: c.reported(fromBackend, build(t, in))})
				}) {
					return
				}
			}
		}
	}
}

// testErrorInHandshake: what nobody listens for, or cannot get through, is told
// before a flow is established.
func testErrorInHandshake(t *testing.T, s stand) {
	c := s.talk(t, 0)
	c.play(t, handshake()[:1])
	_, sent := c.segment(fromClient, frame.SYN, "")
	at, in := c.report(fromBackend, s.near.Addr(), icmpErrors(s.client.Is4())["port unreachable"], packet(t, c.translated(fromClient, sent), 8))
	in.Dst = withPort(c.source.Addr(), 0)
	want := hops(in, 1)
	want.SrcMAC, want.DstMAC = c.hops[c.via].Source, c.hops[c.via].Destination
	want.Src, want.Dst = withPort(s.vip, 0), withPort(c.client.Addr(), 0)
	want.Payload = packet(t, hops(sent, 1), 8)
	s.check(t, at, build(t, in), expected{verdict: c.forwarded(fromBackend), out: build(t, want), counts: c.reported(fromBackend, build(t, in))})
}

// testErrorByRing: a one-way flow whose entry was lost still has a backend.
func testErrorByRing(t *testing.T, s stand) {
	c := s.talk(t, 1)
	sent := frame.Frame{Src: c.svc.Listen, Dst: c.client, Flags: frame.ACK}
	at, in := c.report(fromClient, s.router, icmpErrors(s.client.Is4())["time exceeded"], packet(t, sent, 8))
	in.Dst = withPort(s.vip, 0)
	want := hops(in, 1)
	want.SrcMAC, want.DstMAC = c.hops[c.to.NextHop].Source, c.hops[c.to.NextHop].Destination
	s.check(t, at, build(t, in), expected{verdict: c.forwarded(fromClient), out: c.wrapped(t, c.to, c.client, build(t, want)), counts: c.reported(fromClient, build(t, in))})
}

// testErrorRefused: what concerns no flow of ours goes up to the stack, and what
// cannot be sent on is counted.
func testErrorRefused(t *testing.T, s stand) {
	c := s.established(t, 0)
	quoted := frame.Frame{Src: c.svc.Listen, Dst: c.client, Flags: frame.ACK, Payload: []byte("data")}
	some := icmpErrors(s.client.Is4())["port unreachable"]
	at, good := c.report(fromClient, s.router, some, packet(t, quoted, 20))
	good.Dst = withPort(s.vip, 0)
	s.plainly(t, c, at, build(t, good))

	change := func(edit func(*frame.Frame)) frame.Frame {
		in := good
		edit(&in)
		return in
	}
	other := func(edit func(*frame.Frame)) []byte {
		q := quoted
		edit(&q)
		return packet(t, q, 20)
	}
	for name, in := range map[string]frame.Frame{
		"cut short":      change(func(f *frame.Frame) { f.Payload = f.Payload[:len(f.Payload)-13] }),
		"quotes nothing": change(func(f *frame.Frame) { f.Payload = nil }),
		"quotes UDP": change(func(f *frame.Frame) {
			f.Payload = other(func(q *frame.Frame) { q.Protocol, q.Payload = frame.ProtoUDP, make([]byte, 20) })
		}),
		"of another host": change(func(f *frame.Frame) {
			f.Payload = other(func(q *frame.Frame) { q.Src = withPort(s.stranger, q.Src.Port()) })
		}),
		"of another port": change(func(f *frame.Frame) { f.Payload = other(func(q *frame.Frame) { q.Src = withPort(s.vip, 9) }) }),
		"of mode sshd": change(func(f *frame.Frame) {
			f.Payload = other(func(q *frame.Frame) { q.Src = withPort(s.vip, uint16(local)) })
		}),
		"to another host":   change(func(f *frame.Frame) { f.Dst = withPort(s.stranger, 0) }),
		"no error":          change(func(f *frame.Frame) { f.ICMP = &frame.ICMP{Type: 200} }),
		"longer than it is": change(func(f *frame.Frame) { f.Lies.IPLength = new(uint16(900)) }),
		"of no length":      change(lengthen(0)),
		"shorter than what it quotes": change(func(f *frame.Frame) {
			f.Payload = f.Payload[:len(f.Payload)-12] // 8 bytes of TCP
			lengthen(len(frame.Must(*f)) - behindEthernet(f) - 1)(f)
		}),
	} {
		t.Run(name, func(t *testing.T) { s.untouched(t, at, build(t, in)) })
	}
	if s.svc.Mode == ModeNAT {
		stray := change(func(f *frame.Frame) { f.Payload = other(func(q *frame.Frame) { q.Dst = s.nextClient() }) })
		s.untouched(t, at, build(t, stray))
	}
	t.Run("padded", func(t *testing.T) {
		padded := change(func(f *frame.Frame) { f.Payload, f.Length = f.Payload[:len(f.Payload)-12], 120+4*len(s.tags) })
		in := build(t, padded)
		out := s.check(t, at, in, expected{verdict: c.forwarded(fromClient), counts: c.reported(fromClient, in)})
		if !s.svc.Mode.Tunnels() {
			mustRig(t, sameResidue(in, out))
		}
	})
	dying := build(t, change(func(f *frame.Frame) { f.TTL = new(uint8(1)) }))
	s.check(t, at, dying, expected{verdict: xdpDrop, counts: dropped("ttl", dying)})
}

// plainly checks that an error is sent on, whatever it becomes.
func (s stand) plainly(t *testing.T, c *talk, at iface, in []byte) {
	t.Helper()
	s.check(t, at, in, expected{verdict: c.forwarded(fromClient), counts: c.reported(fromClient, in)})
}

// testEcho: a VIP that steers answers for itself, unless the sender is denied.
func testEcho(t *testing.T, s stand) {
	ask, answer := frame.ICMP{Type: 8, Rest: 0x12340001}, frame.ICMP{Type: 0, Rest: 0x12340001}
	if s.client.Is6() {
		ask.Type, answer.Type = 128, 129
	}
	client := s.nextClient()
	in := frame.Frame{Src: withPort(client.Addr(), 0), Dst: withPort(s.vip, 0), TTL: new(uint8(3)), ICMP: &ask, Payload: []byte("ping"), SrcMAC: routerMAC, DstMAC: s.ext.mac}
	out := in
	out.Src, out.Dst, out.SrcMAC, out.DstMAC, out.ICMP, out.TTL = in.Dst, in.Src, in.DstMAC, in.SrcMAC, &answer, new(uint8(64))
	s.check(t, s.ext, build(t, in), expected{verdict: xdpTX, out: build(t, out)})
	short := in
	lengthen(behindIP(short) + 7)(&short)
	s.untouched(t, s.ext, build(t, short))
	odd := in
	odd.ICMP = &frame.ICMP{Type: ask.Type, Code: 1}
	s.untouched(t, s.ext, build(t, odd))
	s.guarded(t, Guard{Deny: []netip.Prefix{around(client.Addr())}})
	denied := build(t, in)
	s.check(t, s.ext, denied, expected{verdict: xdpDrop, counts: dropped("denied", denied)})
}
