package loader

import (
	"net"
	"net/netip"
	"testing"

	"sluice/internal/nettest"
	"sluice/internal/nettest/frame"
)

// checkRig is the link of the health checks: the program sees the near end, the
// stack dials through the far one.
type checkRig struct {
	stand
	link         iface
	stackMAC     net.HardwareAddr
	check, probe netip.AddrPort // what is dialled, and by whom
}

func testCheck(t *testing.T, r *rig) {
	stack := nettest.ForTest(t)
	link := r.addInterface(t, stack, "chk0")
	stackMAC, err := stack.MAC("chk0")
	mustRig(t, err)
	// An interface is one of the namespace that names it.
	r.inside(func() { err = r.d.SetCheckLink(link.index, stackMAC) })
	mustRig(t, err)
	defer func() {
		mustRig(t, r.d.SetCheckLink(0, nil))
		mustRig(t, r.d.objs.Egress.Delete(uint32(link.index)))
	}()
	r.stands(t, oneWay, func(t *testing.T, s stand) {
		c := checkRig{stand: s, link: link, stackMAC: stackMAC}
		c.check = withPort(addr("198.19.192.5"), uint16(s.kind))
		c.probe = withPort(addr("192.0.2.1"), 45000)
		if s.vip.Is6() {
			c.check = withPort(addr("fd2e:71c5:94a8::5"), uint16(s.kind))
			c.probe = withPort(addr("2001:db8:1::1"), 45000)
		}
		for which := range 2 {
			mustRig(t, s.d.PutCheck(c.check.Addr(), membersOf(s.id)[which]))
			c.roundTrip(t, which)
		}
		c.notReady(t)
		c.odd(t)
		mustRig(t, s.d.DeleteCheck(c.check.Addr()))
		c.unknown(t)
	})
}

// frames are a probe as the stack sends it and as a backend gets it, and the
// answer as the backend sends it and as the stack gets it.
func (c checkRig) frames(which int, out, back frame.Frame) (probe, sent, answer, got frame.Frame) {
	hop := c.hops[hopNear+NextHopID(which)]
	out.VLANs, back.VLANs = c.tags, c.tags
	probe, sent = out, out
	probe.Src, probe.Dst, probe.SrcMAC, probe.DstMAC = c.probe, c.check, c.stackMAC, c.link.mac
	sent.Src, sent.Dst, sent.SrcMAC, sent.DstMAC = c.probe, c.svc.Listen, hop.Source, hop.Destination
	answer, got = back, back
	answer.Src, answer.Dst, answer.SrcMAC, answer.DstMAC = c.svc.Listen, c.probe, hop.Destination, hop.Source
	got.Src, got.Dst, got.SrcMAC, got.DstMAC = c.check, c.probe, hop.Destination, c.stackMAC
	return probe, sent, answer, got
}

// roundTrip is a whole check. It counts nowhere: it is no client's.
func (c checkRig) roundTrip(t *testing.T, which int) {
	t.Helper()
	from := c.at(hopNear + NextHopID(which))
	for _, f := range []struct{ out, back frame.Frame }{
		{frame.Frame{Flags: frame.SYN, Seq: 1, Options: frame.MSS(1460)}, frame.Frame{Flags: frame.SYN | frame.ACK, Seq: 9, Ack: 2}},
		{frame.Frame{Flags: frame.ACK, Seq: 2, Ack: 10}, frame.Frame{Flags: frame.ACK, Seq: 10, Ack: 2, Payload: []byte("SSH-2.0-x\r\n")}},
		{frame.Frame{Flags: frame.RST, Seq: 2}, frame.Frame{Flags: frame.RST | frame.ACK, Seq: 21, Ack: 3}},
	} {
		probe, sent, answer, got := c.frames(which, f.out, f.back)
		out := c.wrapped(t, c.d.members[membersOf(c.id)[which]], c.probe, build(t, sent))
		c.rig.check(t, c.link, build(t, probe), expected{verdict: xdpRedirect, out: out})
		c.rig.check(t, from, build(t, answer), expected{verdict: xdpRedirect, out: build(t, got)})
	}
}

// notReady: a probe whose backend cannot be reached is lost, and so the check
// fails, as a client's connection would.
func (c checkRig) notReady(t *testing.T) {
	t.Helper()
	defer c.setHops(t, outer(c.tags))
	probe, _, _, _ := c.frames(1, frame.Frame{Flags: frame.SYN}, frame.Frame{})
	in := build(t, probe)
	for why, change := range map[string]func(*NextHop){
		"no_next_hop":    func(h *NextHop) { h.Ready = false },
		"vlan":           func(h *NextHop) { h.VLAN++ },
		"too_big_untold": func(h *NextHop) { h.MTU = 39 },
		"egress":         func(h *NextHop) { h.Interface = 1 },
	} {
		far := c.hops[hopFar]
		change(&far)
		mustRig(t, c.d.PutNextHop(hopFar, far))
		c.rig.check(t, c.link, in, expected{verdict: xdpDrop, counts: dropped(why, in)})
	}
}

// odd: what is no probe on the link, or answers none, is not touched.
func (c checkRig) odd(t *testing.T) {
	t.Helper()
	probe, _, answer, _ := c.frames(0, frame.Frame{Flags: frame.SYN}, frame.Frame{Flags: frame.SYN | frame.ACK})
	elsewhere := probe
	elsewhere.Dst = withPort(c.near.Addr(), 24)
	c.untouched(t, c.link, build(t, elsewhere))
	fromOutside := probe
	c.untouched(t, c.ext, build(t, fromOutside))
	stranger := answer
	stranger.Dst = withPort(c.probe.Addr(), 45001)
	c.untouched(t, c.int, build(t, stranger))
	otherPort := answer
	otherPort.Src = withPort(c.vip, 9)
	c.untouched(t, c.int, build(t, otherPort))
}

// unknown: an address that stands for no member any more.
func (c checkRig) unknown(t *testing.T) {
	t.Helper()
	probe, _, _, _ := c.frames(0, frame.Frame{Flags: frame.SYN}, frame.Frame{})
	c.untouched(t, c.link, build(t, probe))
}
