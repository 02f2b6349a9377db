package loader

import (
	"fmt"
	"testing"

	"sluice/internal/nettest/frame"
)

// oddity is a frame that cannot be steered, and why.
type oddity struct {
	change func(*frame.Frame)
	why    string
	// portless frames do not show their port: they are ours by the VIP alone.
	portless bool
}

// shorten cuts the IP packet to n bytes and says so in its header.
func shorten(n int) func(*frame.Frame) {
	return func(f *frame.Frame) { lengthen(n)(f); f.Length = behindEthernet(f) + n }
}

// lengthen makes the IP header tell n bytes; the frame stays as it is.
func lengthen(n int) func(*frame.Frame) {
	return func(f *frame.Frame) {
		payload := n
		if f.Src.Addr().Is6() {
			payload -= 40
		}
		f.Lies.IPLength = new(uint16(payload))
	}
}

// cut leaves n bytes of the packet; the IP header tells the whole.
func cut(n int) func(*frame.Frame) {
	return func(f *frame.Frame) { f.Length = behindEthernet(f) + n }
}

func behindEthernet(f *frame.Frame) int { return 14 + 4*len(f.VLANs) }

// oddities of both families; header is the length of the IP header.
func oddities(header int) map[string]oddity {
	fragment := func(more bool, offset int) func(*frame.Frame) {
		return func(f *frame.Frame) {
			f.MoreFragments, f.FragmentOffset, f.Protocol = more, offset, frame.ProtoTCP
			f.Payload = make([]byte, 64)
		}
	}
	odd := map[string]oddity{
		"first fragment":          {change: fragment(true, 0), why: "fragment"},
		"middle fragment":         {change: fragment(true, 64), why: "fragment", portless: true},
		"last fragment":           {change: fragment(false, 64), why: "fragment", portless: true},
		"last fragment of all":    {change: fragment(false, 65528), why: "fragment", portless: true},
		"a byte too long":         {change: lengthen(header + 20 + 4 + 1), why: "length"},
		"much too long":           {change: lengthen(65535), why: "length"},
		"cut in the payload":      {change: cut(header + 20 + 3), why: "length"},
		"cut in the TCP header":   {change: cut(header + 12), why: "length"},
		"cut behind the ports":    {change: cut(header + 4), why: "length"},
		"cut in the ports":        {change: cut(header + 3), why: "length", portless: true},
		"cut behind IP":           {change: cut(header), why: "length", portless: true},
		"no TCP header":           {change: shorten(header), why: "bad_header", portless: true},
		"TCP header of 3 bytes":   {change: shorten(header + 3), why: "bad_header", portless: true},
		"TCP header of 4 bytes":   {change: shorten(header + 4), why: "bad_header"},
		"TCP header of 19 bytes":  {change: shorten(header + 19), why: "bad_header"},
		"length without a TCP":    {change: lengthen(header), why: "bad_header"},
		"length of part of a TCP": {change: lengthen(header + 19), why: "bad_header"},
	}
	for doff := range uint8(16) {
		// The segment has 24 bytes: 20 of header, 4 of payload.
		if doff != 5 && doff != 6 {
			odd[fmt.Sprintf("doff %d", doff)] = oddity{change: func(f *frame.Frame) { f.Lies.DataOffset = new(doff) }, why: "bad_header"}
		}
	}
	return odd
}

func odditiesV4() map[string]oddity {
	odd := oddities(20)
	for words := 1; words <= 10; words++ {
		odd[fmt.Sprintf("%d words of options", words)] = oddity{change: func(f *frame.Frame) { f.IPOptions = frame.NOPs(4 * words) }, why: "ip_options"}
	}
	odd["length 0"] = oddity{change: lengthen(0), why: "bad_header"}
	odd["length less than IP's own"] = oddity{change: lengthen(19), why: "bad_header"}
	odd["fragment with options"] = oddity{change: func(f *frame.Frame) { f.MoreFragments, f.IPOptions = true, frame.NOPs(8) }, why: "fragment"}
	odd["options beyond the end"] = oddity{change: func(f *frame.Frame) { f.Lies.IHL = new(uint8(15)) }, why: "ip_options", portless: true}
	return odd
}

func odditiesV6() map[string]oddity {
	odd := oddities(40)
	kinds := map[string]uint8{"hop-by-hop": frame.ProtoHopByHop, "routing": frame.ProtoRouting, "destination": frame.ProtoDestination}
	for name, kind := range kinds {
		for n := 1; n <= 5; n++ {
			odd[fmt.Sprintf("%d times %s", n, name)] = oddity{why: "ipv6_extension", portless: n > 3, change: func(f *frame.Frame) {
				for range n {
					f.Extensions = append(f.Extensions, frame.Extension{Type: kind, Body: make([]byte, 6)})
				}
			}}
		}
	}
	odd["a long extension"] = oddity{why: "ipv6_extension", change: func(f *frame.Frame) {
		f.Extensions = []frame.Extension{{Type: frame.ProtoHopByHop, Body: make([]byte, 8*256-2)}}
	}}
	odd["fragment behind an extension"] = oddity{why: "fragment", change: func(f *frame.Frame) {
		f.MoreFragments, f.Extensions = true, []frame.Extension{{Type: frame.ProtoDestination, Body: make([]byte, 6)}}
	}}
	odd["payload length 0"] = oddity{change: lengthen(40), why: "bad_header"}
	return odd
}

func (s stand) oddities() map[string]oddity {
	if s.vip.Is4() {
		return odditiesV4()
	}
	return odditiesV6()
}

// testOdd: what cannot be steered is dropped by name if it is for a service
// that steers, whether its flow is known or not, and else is none of ours.
func testOdd(t *testing.T, r *rig) {
	r.stands(t, steering, func(t *testing.T, s stand) {
		known := s.established(t, 0)
		for name, o := range s.oddities() {
			t.Run(name, func(t *testing.T) {
				s.talk(t, 0).play(t, []step{{flags: frame.ACK, data: "data", tweak: o.change, does: silent, why: o.why}})
				known.play(t, []step{{flags: frame.ACK, data: "data", tweak: o.change, does: silent, why: o.why, state: known.state(t)}})
			})
		}
		known.play(t, []step{{say: "the flow lives on", flags: frame.ACK, data: "x", state: known.state(t)}})
	})
	r.stands(t, []kind{local, single}, testOddLocal)
	r.stands(t, []kind{hide}, testOddOtherPort)
	r.stands(t, []kind{hide, keep}, testOddAnswers)
	r.stands(t, steering, testDataOffsets)
}

// testOddLocal: what ends on this node is the stack's to judge, except where a
// frame does not show that it is not for another service of the VIP.
func testOddLocal(t *testing.T, s stand) {
	for name, o := range s.oddities() {
		t.Run(name, func(t *testing.T) {
			does := step{flags: frame.ACK, data: "data", tweak: o.change, does: passed}
			if o.portless && s.kind == local {
				does.does, does.why = silent, o.why
			}
			s.talkOf(t, s.nextClient()).play(t, []step{does})
		})
	}
}

func testOddOtherPort(t *testing.T, s stand) {
	for name, o := range s.oddities() {
		if o.portless {
			continue
		}
		t.Run(name, func(t *testing.T) {
			c := s.talk(t, 0)
			c.svc.Listen = withPort(s.vip, 9)
			c.play(t, []step{{flags: frame.ACK, data: "data", tweak: o.change, does: passed}})
		})
	}
}

// testOddAnswers: an odd packet of a backend is dropped if it answers a flow of
// ours, since the stack would reset the flow, and is untouched if not.
func testOddAnswers(t *testing.T, s stand) {
	known := s.established(t, 0)
	for name, o := range s.oddities() {
		if o.portless {
			continue
		}
		t.Run(name, func(t *testing.T) {
			known.play(t, []step{{from: fromBackend, flags: frame.ACK, data: "data", tweak: o.change, does: silent, why: o.why, state: FlowEstablished}})
			stranger := s.talk(t, 0)
			stranger.source = withPort(stranger.client.Addr(), 7)
			stranger.play(t, []step{{from: fromBackend, flags: frame.ACK, data: "data", tweak: o.change, does: passed}})
		})
	}
}

// testDataOffsets sends every length of TCP header there is.
func testDataOffsets(t *testing.T, s stand) {
	c := s.established(t, 0)
	state := c.state(t)
	for words := 0; words <= 10; words++ {
		options := func(f *frame.Frame) { f.Options = frame.NOPs(4 * words) }
		c.play(t, []step{
			{flags: frame.ACK, tweak: options, state: state},
			{flags: frame.ACK, data: "data", tweak: options, state: state},
			{from: fromBackend, flags: frame.ACK, data: "data", tweak: options, state: state},
		})
	}
	for _, n := range []int{0, 1, 6, 18, 46, 1000} {
		padded := func(f *frame.Frame) { f.Length = len(frame.Must(*f)) + n }
		c.play(t, []step{{say: "padded", flags: frame.ACK, data: "data", tweak: padded, state: state}})
	}
}

// state is that of the entry now.
func (c *talk) state(t *testing.T) FlowState {
	t.Helper()
	f, _, err := c.d.Find(c.id, c.client)
	mustRig(t, err)
	return f.State
}
