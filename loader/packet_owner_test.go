package loader

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"sluice/internal/nettest/frame"
)

// testOwners: what a node does for a VIP that an election gave to it, or did not.
func testOwners(t *testing.T, r *rig) {
	r.stands(t, steering, testNotOwner)
	r.plain(t, []kind{hide}, testSilent)
	r.plain(t, []kind{hide}, testUnelected)
}

// elect lets an election decide about addresses for as long as a case runs, and
// returns its words.
func (r *rig) elect(t *testing.T, vips ...netip.Addr) *Owners {
	t.Helper()
	mustRig(t, r.d.SetElected(vips))
	o, err := OpenOwners(r.d.pins.dir)
	mustRig(t, err)
	t.Cleanup(func() {
		mustRig(t, o.Close())
		mustRig(t, r.d.SetElected(nil))
		for _, vip := range vips {
			if r.published(vip) {
				mustRig(t, r.d.SetOwner(vip, true))
			}
		}
	})
	return o
}

func (r *rig) published(vip netip.Addr) bool {
	for _, s := range r.services {
		if s.Listen.Addr() == vip {
			return true
		}
	}
	return false
}

// now is CLOCK_MONOTONIC.
func now(t *testing.T) time.Duration {
	t.Helper()
	at, err := clock()
	mustRig(t, err)
	return at
}

// shut are the ways in which a node has not got a VIP.
func shut(t *testing.T) map[string]func(*Owners, netip.Addr) error {
	return map[string]func(*Owners, netip.Addr) error{
		"closed": func(o *Owners, vip netip.Addr) error { return o.Set([]netip.Addr{vip}, false, 0) },
		"past its deadline": func(o *Owners, vip netip.Addr) error {
			return o.Set([]netip.Addr{vip}, true, now(t)-1)
		},
		"never opened": func(*Owners, netip.Addr) error { return nil },
	}
}

// held are the ways in which it has.
func held(t *testing.T) map[string]time.Duration {
	return map[string]time.Duration{"without a deadline": 0, "before its deadline": now(t) + time.Hour}
}

// testNotOwner: a node that has not got the VIP lets nothing of a service out, in
// neither direction, whatever it knows of the flow; and it goes on by the same
// entries when it gets it.
func testNotOwner(t *testing.T, s stand) {
	flow := s.established(t, 0)
	state := flow.state(t)
	for name, shut := range shut(t) {
		t.Run(name, func(t *testing.T) {
			o := s.elect(t, s.vip)
			mustRig(t, shut(o, s.vip))
			for _, c := range []*talk{flow, s.talk(t, 0)} {
				for _, flags := range []frame.Flags{frame.SYN, frame.ACK, frame.ACK | frame.PSH, frame.FIN | frame.ACK, frame.RST} {
					s.silentTo(t, c, fromClient, flags)
				}
			}
			if s.svc.Mode == ModeNAT {
				for _, flags := range []frame.Flags{frame.ACK, frame.SYN | frame.ACK, frame.FIN | frame.ACK, frame.RST} {
					s.silentTo(t, flow, fromBackend, flags)
				}
				s.silentAbout(t, flow)
			}
			flow.checkEntry(t, step{state: state})
		})
	}
	for name, until := range held(t) {
		t.Run(name, func(t *testing.T) {
			o := s.elect(t, s.vip)
			mustRig(t, o.Set([]netip.Addr{s.vip}, true, until))
			flow.play(t, []step{
				{flags: frame.ACK, data: "up", state: state},
				{from: fromBackend, flags: frame.ACK, data: "down", state: state},
			})
			s.established(t, 1)
		})
	}
}

// silentTo: a frame of one side is dropped and leaves no trace.
func (s stand) silentTo(t *testing.T, c *talk, from side, flags frame.Flags) {
	t.Helper()
	at, f := c.next(step{from: from, flags: flags, forged: true})
	in := build(t, f)
	s.check(t, at, in, expected{verdict: xdpDrop, counts: dropped("not_owner", in)})
}

// silentAbout: nor is the client told of an error on the way to the backend.
func (s stand) silentAbout(t *testing.T, c *talk) {
	t.Helper()
	_, f := c.next(step{flags: frame.ACK, forged: true})
	quoted := build(t, c.translated(fromClient, f))
	e := frame.Frame{
		SrcMAC: s.hops[c.to.NextHop].Destination, DstMAC: s.at(c.to.NextHop).mac, VLANs: s.tags,
		Src: c.to.Addr, Dst: c.source, ICMP: &frame.ICMP{Type: 3, Code: 1}, Payload: quoted[14+4*len(s.tags):],
	}
	if c.client.Addr().Is6() {
		e.ICMP = &frame.ICMP{Type: 1}
	}
	in := build(t, e)
	s.check(t, s.at(c.to.NextHop), in, expected{verdict: xdpDrop, counts: dropped("not_owner", in)})
}

// testSilent: who has not got a VIP answers no question for it and lets the stack
// answer nothing, with or without a service; what is no question passes. bare
// has no service at all.
func testSilent(t *testing.T, s stand) {
	bare := s.vip.Next().Next().Next().Next()
	if s.published(bare) {
		t.Fatalf("%s has a service", bare)
	}
	for _, vip := range []netip.Addr{s.vip, bare} {
		for name, tags := range tagsets {
			t.Run(fmt.Sprintf("%s %s", vip, name), func(t *testing.T) {
				o := s.elect(t, vip, s.local)
				for what, shut := range shut(t) {
					mustRig(t, o.Set([]netip.Addr{vip}, false, 0))
					mustRig(t, shut(o, vip))
					for question, in := range s.questions(vip, tags) {
						b := build(t, in)
						want := expected{verdict: xdpDrop, counts: dropped("not_owner", b)}
						if in.EtherType == frame.TypeARP {
							want.counts.Drops["not_owner"] = DropCounter{Packets: 1, Bytes: uint64(len(b) - 14 - 4*len(tags))}
						}
						t.Log(what, question)
						s.check(t, s.ext, b, want)
					}
					s.passes(t, vip, tags)
				}
				for what, until := range held(t) {
					mustRig(t, o.Set([]netip.Addr{vip}, true, until))
					for question, in := range s.questions(vip, tags) {
						t.Log(what, question)
						s.untouched(t, s.ext, build(t, in))
					}
					s.passes(t, vip, tags)
				}
			})
		}
	}
}

// questions are frames that make a stack with the address answer.
func (s stand) questions(vip netip.Addr, tags []uint16) map[string]frame.Frame {
	out := map[string]frame.Frame{
		"tcp": {Src: withPort(s.client, 40000), Dst: withPort(vip, 8080), Flags: frame.SYN},
	}
	if vip.Is4() {
		out["request"] = arp(1, s.router, vip)
		out["probe"] = arp(1, netip.IPv4Unspecified(), vip)
	} else {
		out["solicitation"] = solicit(s.router, vip, 135)
		out["duplicate address detection"] = solicit(netip.IPv6Unspecified(), vip, 135)
	}
	for name, f := range out {
		f.VLANs = tags
		out[name] = f
	}
	return out
}

// passes: announcements about the VIP and questions for other addresses pass.
func (s stand) passes(t *testing.T, vip netip.Addr, tags []uint16) {
	t.Helper()
	frames := []frame.Frame{toHost(s.family, frame.Frame{Flags: frame.SYN})}
	if vip.Is4() {
		request := arp(1, s.router, vip)
		frames = append(frames, arp(1, vip, vip), arp(2, vip, vip), arp(2, vip, s.home), arp(1, vip, s.home))
		for _, at := range []int{0, 2, 4, 5, 7} { // of another hardware, protocol, size or kind
			odd := request
			odd.Payload = append([]byte(nil), request.Payload...)
			odd.Payload[at] ^= 0x40
			frames = append(frames, odd)
		}
		short := request
		short.Payload = request.Payload[:27]
		frames = append(frames, short)
	} else {
		short := solicit(s.router, vip, 135)
		short.Payload = short.Payload[:15]
		frames = append(frames, solicit(vip, vip, 136), solicit(s.router, s.home, 135), solicit(s.router, vip, 133), short)
	}
	for _, f := range frames {
		f.VLANs = tags
		s.untouched(t, s.ext, build(t, f))
	}
}

// arp is a request (1) or reply (2).
func arp(operation byte, sender, target netip.Addr) frame.Frame {
	b := []byte{0, 1, 8, 0, 6, 4, 0, operation}
	b = append(append(b, routerMAC...), sender.AsSlice()...)
	b = append(append(b, 0, 0, 0, 0, 0, 0), target.AsSlice()...)
	return frame.Frame{EtherType: frame.TypeARP, SrcMAC: routerMAC, DstMAC: broadcast, Payload: b}
}

// solicit is a neighbour solicitation (135) or another message about target.
func solicit(from, target netip.Addr, kind uint8) frame.Frame {
	b := target.As16()
	group := netip.AddrFrom16([16]byte{0xff, 2, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
	return frame.Frame{
		SrcMAC: routerMAC, DstMAC: net.HardwareAddr{0x33, 0x33, 0xff, b[13], b[14], b[15]},
		Src: withPort(from, 0), Dst: withPort(group, 0), TTL: new(uint8(255)),
		ICMP: &frame.ICMP{Type: kind}, Payload: b[:],
	}
}

// testUnelected: a VIP that no election decides about is as it always was,
// though its word be closed.
func testUnelected(t *testing.T, s stand) {
	s.elect(t, s.local)
	mustRig(t, s.d.SetOwner(s.vip, false))
	defer func() { mustRig(t, s.d.SetOwner(s.vip, true)) }()
	for question, in := range s.questions(s.vip, nil) {
		t.Log(question)
		s.untouched(t, s.ext, build(t, in))
	}
	if err := s.d.SetOwner(s.local, true); err == nil {
		t.Error("the node opened the word of an elected VIP")
	}
}
