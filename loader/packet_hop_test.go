package loader

import (
	"testing"

	"sluice/internal/nettest/frame"
)

// testHop: what can stand in the way of a packet that has a backend.
func testHop(t *testing.T, r *rig) {
	r.stands(t, steering, testTTL)
	r.stands(t, steering, testHopNotReady)
	r.stands(t, steering, testHopMTU)
	r.stands(t, steering, testVLAN)
	r.stands(t, steering, testEgress)
	r.stands(t, natKinds, testWayBack)
	r.plain(t, natKinds, testUnindexed)
	r.plain(t, natKinds, testUpper)
	r.plain(t, natKinds, testStranger)
	r.plain(t, natKinds, testDoubleTag)
}

func testTTL(t *testing.T, s stand) {
	c := s.established(t, 0)
	state := c.state(t)
	for _, from := range []side{fromClient, fromBackend} {
		for ttl := range uint8(5) {
			one := step{from: from, flags: frame.ACK, data: "x", state: state, tweak: func(f *frame.Frame) { f.TTL = new(ttl) }}
			if ttl < 2 {
				one.does, one.why = silent, "ttl"
			}
			c.play(t, []step{one})
		}
		c.play(t, []step{{from: from, flags: frame.ACK, data: "x", state: state, tweak: func(f *frame.Frame) { f.TTL = new(uint8(255)) }}})
	}
	s.talk(t, 1).play(t, []step{{flags: frame.SYN, tweak: func(f *frame.Frame) { f.TTL = new(uint8(1)) }, does: silent, why: "ttl"}})
}

// both are the steps that send one segment of each side.
func (c *talk) both(t *testing.T, up, down step) {
	t.Helper()
	up.flags, down.flags = frame.ACK, frame.ACK
	up.data, down.data = "some data", "some data"
	down.from = fromBackend
	up.state = c.state(t)
	down.state = up.state
	c.play(t, []step{up, down})
}

func testHopNotReady(t *testing.T, s stand) {
	c := s.established(t, 0)
	defer s.setHops(t, outer(s.tags))
	near := s.hops[hopNear]
	near.Ready = false
	mustRig(t, s.d.PutNextHop(hopNear, near))
	// The way back is not over it.
	c.both(t, step{does: silent, why: "no_next_hop"}, step{})
	s.talk(t, 0).play(t, []step{{flags: frame.SYN, does: silent, why: "no_next_hop"}})
	s.established(t, 1).both(t, step{}, step{})
	near.Ready = true
	mustRig(t, s.d.PutNextHop(hopNear, near))
	c.both(t, step{}, step{})
}

func testHopMTU(t *testing.T, s stand) {
	c := s.established(t, 0)
	defer s.setHops(t, outer(s.tags))
	header := 40
	if s.vip.Is6() {
		header = 60
	}
	fits := uint16(header + len("some data"))
	for id := hopRouter; id <= hopFar; id++ {
		h := s.hops[id]
		h.MTU = fits + uint16(s.room(c.to))
		s.hops[id] = h
		mustRig(t, s.d.PutNextHop(id, h))
	}
	c.both(t, step{}, step{})
	padded := func(f *frame.Frame) { f.Length = len(frame.Must(*f)) + 50 }
	c.both(t, step{say: "padding does not count", tweak: padded}, step{tweak: padded})
	more := func(f *frame.Frame) { f.Payload = append(f.Payload, '!') }
	c.both(t, step{tweak: more, does: silent, why: "too_big_untold"}, step{tweak: more, does: silent, why: "too_big_untold"})
}

// testVLAN: a tag is kept and never changed, so a next hop on another VLAN
// cannot be reached.
func testVLAN(t *testing.T, s stand) {
	c := s.established(t, 0)
	defer s.setHops(t, outer(s.tags))
	s.setHops(t, outer(s.tags)+1)
	c.both(t, step{does: silent, why: "vlan"}, step{does: silent, why: "vlan"})
	s.setHops(t, outer(s.tags))
	c.both(t, step{}, step{})
}

// testEgress: frames leave by the interfaces of the settings only.
func testEgress(t *testing.T, s stand) {
	c, far := s.established(t, 0), s.established(t, 1)
	mustRig(t, s.d.objs.Egress.Delete(uint32(s.int.index)))
	c.both(t, step{does: silent, why: "egress"}, step{})
	far.both(t, step{}, step{})
	mustRig(t, s.d.allowEgress(s.int.index, s.int.index))
	mustRig(t, s.d.objs.Egress.Delete(uint32(s.ext.index)))
	c.both(t, step{}, step{does: silent, why: "egress"})
	// What goes back where it came from needs no leave.
	far.both(t, step{}, step{})
	mustRig(t, s.d.allowEgress(s.ext.index, s.ext.index))
	c.both(t, step{}, step{})
}

// testWayBack: the way to the client is remembered until the routes change,
// and without an id it is what the routing table says.
func testWayBack(t *testing.T, s stand) {
	c := s.established(t, 0)
	c.both(t, step{}, step{})
	if have, want := hopOf(c.back(t))&0xffff, uint32(hopRouter); have != want {
		t.Errorf("the flow remembers next hop %d, want %d", have, want)
	}
	defer s.setHops(t, outer(s.tags))
	// The program must not ask for the id again: the index has another.
	key := hopKey(s.hops[hopRouter])
	mustRig(t, s.d.objs.NextHopIds.Put(&key, uint32(hopFar)))
	c.both(t, step{}, step{})
	mustRig(t, s.d.BumpRoutes())
	at, f := c.segment(fromBackend, frame.ACK, "")
	want := c.translated(fromBackend, f)
	want.DstMAC = farMAC
	in := build(t, f)
	s.check(t, at, in, expected{verdict: c.forwarded(fromBackend), out: build(t, want), counts: c.counts(step{from: fromBackend, flags: frame.ACK}, in)})
	mustRig(t, s.d.objs.NextHopIds.Delete(&key))
	mustRig(t, s.d.BumpRoutes())
	c.both(t, step{}, step{})
	if have := hopOf(c.back(t)); have != 0 {
		t.Errorf("the flow remembers next hop %#x; it has no id", have)
	}
}

// testUnindexed: a neighbour that has no id yet is asked for once a connection,
// and until then the routing table is.
func testUnindexed(t *testing.T, s stand) {
	defer s.setHops(t, outer(s.tags))
	key := hopKey(s.hops[hopRouter])
	mustRig(t, s.d.objs.NextHopIds.Delete(&key))
	c := s.talk(t, 0)
	c.play(t, handshake()[:1])
	s.events(t)
	c.play(t, handshake()[1:2])
	s.wantEvents(t, Event{Kind: EventNeighbour, Client: withPort(s.router, 0), Interface: s.ext.index})
	c.play(t, handshake()[2:])
	s.events(t)
	c.both(t, step{}, step{})
	var want []Event // none about neighbours
	if s.svc.Proxy {
		want = append(want, c.event(EventSettled))
	}
	s.wantEvents(t, want...)
}

// hopOf is what an entry for answers remembers: the field is that of opened in
// the other direction.
func hopOf(f *bpfFlow) uint32 { return f.Opened }

// testStranger: while the neighbour of a client is not known, the answer to its
// SYN goes where the SYN came from, and user space is asked to resolve it.
func testStranger(t *testing.T, s stand) {
	c := s.strangersTalk(t)
	c.play(t, handshake()[:1])
	s.events(t)
	c.play(t, handshake()[1:2])
	want := Event{Kind: EventNeighbour, Client: withPort(s.stranger, 0), Interface: s.ext.index}
	s.wantEvents(t, want)
	c.play(t, handshake()[2:])
	c.play(t, []step{{from: fromBackend, flags: frame.ACK, data: "x", does: silent, why: "no_next_hop", state: FlowEstablished}})
	s.events(t)
	other := s.strangersTalk(t)
	other.play(t, handshake()[:1])
	other.play(t, []step{{say: "a refusal goes there, too", from: fromBackend, flags: frame.RST | frame.ACK}})
}

// strangersTalk begins a connection of the stranger to near.
func (s stand) strangersTalk(t *testing.T) *talk {
	t.Helper()
	for {
		c := s.talkOf(t, withPort(s.stranger, s.nextClient().Port()))
		if c.member == membersOf(s.id)[0] {
			return c
		}
	}
}

// testDoubleTag: 802.1ad outside is a tag like any other.
func testDoubleTag(t *testing.T, s stand) {
	s.tags = []uint16{100, 7}
	s.setHops(t, 100)
	defer s.setHops(t, 0)
	c := s.established(t, 0)
	at, f := c.segment(fromClient, frame.ACK, "x")
	in, out := build(t, f), build(t, c.translated(fromClient, f))
	counts := c.counts(step{flags: frame.ACK}, in)
	in[12], in[13], out[12], out[13] = 0x88, 0xa8, 0x88, 0xa8
	s.check(t, at, in, expected{verdict: xdpRedirect, out: out, counts: counts})
}
