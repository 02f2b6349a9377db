package loader

import (
	"testing"

	"sluice/internal/nettest/frame"
)

// testTooBig: a packet that does not fit is answered with what would, by the
// gateway as any router does it.
func testTooBig(t *testing.T, r *rig) {
	r.stands(t, steering, testTooBigUp)
	r.stands(t, natKinds, testTooBigDown)
	r.plain(t, []kind{hide}, testTooBigUntold)
	r.plain(t, []kind{hide}, testTooBigRate)
}

// most is the largest payload of a segment of a connection towards its backend.
func (c *talk) most(mtu int) int {
	if c.client.Addr().Is6() {
		return mtu - c.room(c.to) - 60
	}
	return mtu - c.room(c.to) - 40
}

// tooBig is the error that answers a frame, whose quote is cut so that the
// message has 576 bytes, or the 1280 of IPv6.
func tooBig(t *testing.T, f frame.Frame, mtu int) []byte {
	t.Helper()
	r := frame.Frame{
		SrcMAC: f.DstMAC, DstMAC: f.SrcMAC, VLANs: f.VLANs, Src: f.Dst, Dst: f.Src,
		ICMP: &frame.ICMP{Type: 3, Code: 4, Rest: uint32(mtu)},
	}
	quoted := 576 - 28
	if f.Dst.Addr().Is6() {
		r.ICMP = &frame.ICMP{Type: 2, Rest: uint32(mtu)}
		quoted = 1280 - 48
	}
	link := 14 + 4*len(f.VLANs)
	r.Payload = build(t, f)[link : link+quoted]
	return build(t, r)
}

// testTooBigUp: from the client. What fits to the byte passes, one byte more
// does not.
func testTooBigUp(t *testing.T, s stand) {
	for which := range 2 {
		c := s.established(t, which)
		state := c.state(t)
		most := c.most(1500)
		fits := func(f *frame.Frame) { f.Payload = make([]byte, most) }
		more := func(f *frame.Frame) { f.Payload = make([]byte, most+1) }
		c.play(t, []step{{flags: frame.ACK, tweak: fits, state: state}})
		before := *c
		at, f := c.segment(fromClient, frame.ACK, "")
		more(&f)
		c.up = before.up
		in := build(t, f)
		c.check(t, at, in, expected{verdict: xdpTX, out: tooBig(t, f, 1500-s.room(c.to)), counts: dropped("too_big", in)})
		c.play(t, []step{{flags: frame.ACK, tweak: fits, state: state}})
	}
}

// testTooBigDown: from the backend, by the id of the client's neighbour and by
// the routing table.
func testTooBigDown(t *testing.T, s stand) {
	c := s.established(t, 0)
	defer s.setHops(t, outer(s.tags))
	h := s.hops[hopRouter]
	h.MTU = 1300
	mustRig(t, s.d.PutNextHop(hopRouter, h))
	at, f := c.segment(fromBackend, frame.ACK, "")
	f.Payload = make([]byte, 1300)
	in := build(t, f)
	c.check(t, at, in, expected{verdict: xdpTX, out: tooBig(t, f, 1300), counts: dropped("too_big", in)})
	key := hopKey(h)
	mustRig(t, s.d.objs.NextHopIds.Delete(&key))
	mustRig(t, s.d.BumpRoutes())
	mustRig(t, s.ns.SetMTU(s.ext.name, 1400))
	defer func() { mustRig(t, s.ns.SetMTU(s.ext.name, 1500)) }()
	f.Payload = make([]byte, 1400)
	in = build(t, f)
	c.check(t, at, in, expected{verdict: xdpTX, out: tooBig(t, f, 1400), counts: dropped("too_big", in)})
}

// testTooBigUntold: where nobody would believe the answer there is none.
func testTooBigUntold(t *testing.T, s stand) {
	c := s.established(t, 0)
	state := c.state(t)
	defer s.setHops(t, 0)
	big := func(f *frame.Frame) { f.Payload = make([]byte, 1300); f.DontFragment = s.vip.Is4() }
	near := s.hops[hopNear]
	if s.vip.Is4() {
		near.MTU = 500
		mustRig(t, s.d.PutNextHop(hopNear, near))
		c.play(t, []step{
			{say: "fragmenting allowed", flags: frame.ACK, does: silent, why: "too_big_untold", state: state,
				tweak: func(f *frame.Frame) { big(f); f.DontFragment = false }},
			{say: "shorter than the quote", flags: frame.ACK, does: silent, why: "too_big_untold", state: state,
				tweak: func(f *frame.Frame) { f.Payload = make([]byte, 500) }},
		})
		return
	}
	near.MTU = 1279
	mustRig(t, s.d.PutNextHop(hopNear, near))
	c.play(t, []step{{say: "below IPv6's minimum", flags: frame.ACK, does: silent, why: "too_big_untold", state: state, tweak: big}})
}

// testTooBigRate: a burst is answered, and then no more than the rate.
func testTooBigRate(t *testing.T, s stand) {
	c := s.established(t, 0)
	_, f := c.segment(fromClient, frame.ACK, "")
	f.Payload = make([]byte, 1500)
	in := build(t, f)
	const sent = 5000
	before := s.tally(t)
	s.inside(func() {
		for range sent {
			if _, _, err := s.run(s.ext, in); err != nil {
				t.Error(err)
			}
		}
	})
	got := s.tally(t).since(before).Drops
	told, untold := got["too_big"].Packets, got["too_big_untold"].Packets
	if told < 1 || untold < 1 || told+untold != sent {
		t.Errorf("%d senders were told and %d not, of %d at once", told, untold, sent)
	}
	emptyCredits(t, s.rig)
}

// emptyCredits lets the next theme begin with a full burst.
func emptyCredits(t *testing.T, r *rig) {
	t.Helper()
	var cpus []uint64
	mustRig(t, r.d.objs.IcmpCredits.Lookup(uint32(0), &cpus))
	clear(cpus)
	mustRig(t, r.d.objs.IcmpCredits.Put(uint32(0), cpus))
}
