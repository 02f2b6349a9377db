package loader

import (
	"bytes"
	"net/netip"
	"testing"

	"sluice/internal/nettest/frame"
)

// testHeaderSame: once the backend has the header, the same frame leaves a
// proxied flow as it leaves one of hide: byte for byte, in both directions,
// whatever its flags, numbers and options.
func testHeaderSame(t *testing.T, s stand) {
	for which := range 2 {
		client := s.talk(t, which).client
		with, source := s.leave(t, client, true)
		without, other := s.leave(t, client, false)
		if source != other {
			t.Fatalf("the proxied flow comes from %s, that of hide from %s", source, other)
		}
		for i, p := range with {
			if w := without[i]; p.verdict != w.verdict || !bytes.Equal(p.out, w.out) {
				t.Fatalf("in by the %s:\n%s\nbehind a header: %s\n%s\nof hide: %s\n%s",
					p.from, show(p.in), p.verdict, show(p.out), w.verdict, show(w.out))
			}
			if p.verdict != xdpTX && p.verdict != xdpRedirect {
				t.Fatalf("in by the %s, %s:\n%s", p.from, p.verdict, show(p.in))
			}
		}
	}
}

// left is what one frame became.
type left struct {
	from    side
	in, out []byte
	verdict verdict
}

// leave has every segment of an established connection go through, of a service
// that writes headers or of the same that does not.
func (s stand) leave(t *testing.T, client netip.AddrPort, proxy bool) (out []left, source netip.AddrPort) {
	t.Helper()
	s.clear(t)
	s = s.with(t, func(v *Service) { v.Proxy = proxy })
	c := s.talkOf(t, client)
	c.play(t, handshake())
	c.play(t, []step{{from: fromBackend, flags: frame.ACK, state: FlowEstablished}})
	if c.header.open {
		t.Fatal("the header is still open")
	}
	var there, back bpfFlow
	c.change(t, func(f *bpfFlow) { there = *f })
	c.changeBack(t, func(f *bpfFlow) { back = *f })
	for _, g := range c.segments() {
		// What one segment did to the flow is not for the next.
		c.change(t, func(f *bpfFlow) { f.Status, f.Sequence = there.Status, there.Sequence })
		c.changeBack(t, func(f *bpfFlow) { f.Status, f.Sequence = back.Status, back.Sequence })
		in := build(t, g.f)
		v, b := c.mustRun(t, g.at, in)
		out = append(out, left{from: g.from, in: in, out: b, verdict: v})
	}
	return out, c.source
}

// segment is a frame of one side, and where it comes in.
type segment struct {
	from side
	at   iface
	f    frame.Frame
}

// segments are those of every kind. A client's SYN is not among them: it begins
// another connection, with a header of its own.
func (c *talk) segments() (out []segment) {
	for _, from := range []side{fromClient, fromBackend} {
		for flags := range 256 {
			if from == fromClient && frame.Flags(flags)&frame.SYN != 0 {
				continue
			}
			out = append(out, c.variants(from, frame.Flags(flags), flags)...)
		}
		for _, flags := range []frame.Flags{
			frame.ACK, frame.ACK | frame.PSH | frame.URG, frame.ACK | frame.FIN, frame.RST, frame.RST | frame.ACK,
		} {
			out = append(out, c.variants(from, flags, -1)...)
		}
	}
	return out
}

// variants are segments with these flags: number pick of them, all for -1. Their
// numbers are around the header's, where it would be rewritten if it was open.
func (c *talk) variants(from side, flags frame.Flags, pick int) (out []segment) {
	begin, length := c.up.isn+1, headerLen(c.client)
	numbers := []uint32{begin + 1000, begin, begin - 1, begin - length, begin - 4}
	sack := frame.Option(frame.OptionSACK, number(begin-length, begin, begin+10, begin+20, begin-1, begin+5)...)
	options := [][]byte{nil, frame.Options(frame.Timestamps(7, 9), sack), frame.Options(frame.MSS(1460), sack), frame.NOPs(40)}
	payloads := []int{0, 1, 513, 1500 - ipAndTCP(c.client) - 40}
	n := 0
	for _, number := range numbers {
		for _, o := range options {
			for _, size := range payloads {
				if n++; pick >= 0 && pick%(len(numbers)*len(options)*len(payloads)) != n-1 {
					continue
				}
				own := *c // its numbers do not move on
				at, f := own.segment(from, flags, string(bytes.Repeat([]byte{0xa5}, size)))
				f.Options, f.Urgent = o, uint16(n)
				if from == fromClient {
					f.Seq = number
				} else {
					f.Ack = number
				}
				out = append(out, segment{from, at, f})
			}
		}
	}
	return out
}

// number writes words as they are on the wire.
func number(words ...uint32) (b []byte) {
	for _, w := range words {
		b = append(b, byte(w>>24), byte(w>>16), byte(w>>8), byte(w))
	}
	return b
}
