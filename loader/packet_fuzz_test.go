package loader

import (
	"bytes"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"sluice/internal/nettest/frame"
)

// fuzzed is a rig with a living flow of every kind, which each input meets in
// the same state.
type fuzzed struct {
	*rig
	table []bpfFlow // the flow table, mapped
	lines map[uint32]bpfFlow
	last  tally
	seeds []seed
	// special is the first seed of what is more than plain steering.
	special int
	// marks are the addresses without which a frame cannot be ours.
	marks [][]byte
}

type seed struct {
	inside bool // comes in by the interface of near
	frame  []byte
}

func newFuzzed(f testing.TB, r *rig) *fuzzed {
	z := &fuzzed{rig: r, lines: map[uint32]bpfFlow{}}
	for _, fam := range families {
		for _, a := range []netip.Addr{fam.vip, fam.twin, fam.local, fam.near.Addr(), fam.far.Addr()} {
			z.marks = append(z.marks, a.AsSlice())
		}
		for _, k := range []kind{hide, keep, dsr, local, pooled, keepTwin, empty, single, ipip, gue} {
			s := stand{rig: z.rig, family: fam, kind: k, id: k.id(fam), svc: k.service(fam)}
			for which := range 2 {
				z.addSeeds(f, s, which)
			}
			if k == hide {
				z.addOdd(f, z.addSeeds(f, s, 0))
			}
		}
		each(foreignFrames(fam), func(fr frame.Frame) { z.add(f, z.ext, fr) })
	}
	z.special = len(z.seeds)
	for _, fam := range families {
		z.addSpecial(f, fam)
	}
	err := z.d.scanLines(f.Context(), func(line uint32, flow *bpfFlow) bool {
		z.lines[line] = *flow
		return true
	})
	mustRig(f, err)
	z.table = z.mapFlows(f)
	z.last = z.tally(f)
	return z
}

// greeted establishes a flow towards a backend.
func (z *fuzzed) greeted(f testing.TB, s stand, which int) *talk {
	c := &talk{stand: s, client: s.nextClient(), via: hopRouter, member: membersOf(s.id)[which]}
	c.to = Member{Addr: s.near, NextHop: hopNear}
	if which == 1 {
		c.to = Member{Addr: s.far, NextHop: hopFar}
	}
	c.begin()
	c.source = c.client
	z.greet(f, c)
	return c
}

// addSeeds takes frames of every kind from both ends of a flow.
func (z *fuzzed) addSeeds(f testing.TB, s stand, which int) *talk {
	c := z.greeted(f, s, which)
	for _, from := range []side{fromClient, fromBackend} {
		for _, flags := range []frame.Flags{frame.SYN, frame.SYN | frame.ACK, frame.ACK, frame.FIN | frame.ACK, frame.RST} {
			at, fr := c.segment(from, flags, "data")
			z.add(f, at, fr)
		}
	}
	return c
}

// addOdd takes frames of a living flow that cannot be steered, and tagged ones.
func (z *fuzzed) addOdd(f testing.TB, c *talk) {
	each(c.oddities(), func(o oddity) {
		at, fr := c.segment(fromClient, frame.ACK, "data")
		o.change(&fr)
		z.add(f, at, fr)
	})
	each(tagsets, func(tags []uint16) {
		at, fr := c.segment(fromClient, frame.SYN, "data")
		fr.VLANs = tags
		z.add(f, at, fr)
	})
}

// each visits the values in the order of their names: an input that was found
// names its frame by number.
func each[V any](m map[string]V, visit func(V)) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		visit(m[name])
	}
}

// greet tries a handshake with whatever backend the ring has for the client.
func (z *fuzzed) greet(f testing.TB, c *talk) {
	members, err := z.d.Members()
	mustRig(f, err)
	ring, err := z.d.Ring(c.id)
	mustRig(f, err)
	if m, ok := members[ring.Get(z.d.FlowHash(c.client, c.svc))]; ok {
		c.to = m
	}
	for _, one := range []struct {
		from  side
		flags frame.Flags
	}{{fromClient, frame.SYN}, {fromBackend, frame.SYN | frame.ACK}, {fromClient, frame.ACK}} {
		at, fr := c.segment(one.from, one.flags, "")
		z.inside(func() {
			_, out, err := z.run(at, build(f, fr))
			mustRig(f, err)
			if sent, err := frame.Decode(out); one.flags == frame.SYN && err == nil && c.svc.Mode == ModeNAT {
				c.source = sent.Src
			}
		})
	}
}

func (z *fuzzed) add(f testing.TB, at iface, fr frame.Frame) {
	z.seeds = append(z.seeds, seed{inside: at.name == z.int.name, frame: build(f, fr)})
}

// restore puts the flows back as they were before the last input.
func (z *fuzzed) restore() {
	for line, f := range z.lines {
		z.table[line] = f
	}
}

// FuzzSteer hands to the program what becomes of a good frame when its length
// is changed by grow, and patch is written over it from at on; frame 0 is
// nothing but the patch. Whatever it is, what the program does must be
// consistent.
func FuzzSteer(f *testing.F) {
	z := newFuzzed(f, newRig(f))
	for i, s := range z.seeds {
		f.Add(uint16(i+1), int16(0), uint16(0), []byte(nil), s.inside)
	}
	f.Add(uint16(0), int16(0), uint16(0), z.seeds[0].frame, true)
	f.Fuzz(func(t *testing.T, which uint16, grow int16, at uint16, patch []byte, inside bool) {
		z.try(t, z.input(which, grow, at, patch), inside)
	})
}

// testMutated is what the fuzzer begins with: every byte of a few good frames
// set to the values that parsers stumble over.
func testMutated(t *testing.T, r *rig) {
	z := newFuzzed(t, r)
	z.reach(t)
	for i, s := range z.seeds {
		// The first frames of a kind are those of a living flow.
		if i < z.special && (i%20 > 2 && i%20 != 12 || i > 200) {
			continue
		}
		for at := 12; at < min(len(s.frame), 128); at++ {
			values := []byte{0, s.frame[at] ^ 1, 0xff, 1, 0x45, 0x60, 0x80}
			if i >= z.special {
				values = values[:2] // of these there are many
			}
			for _, v := range values {
				z.try(t, z.input(uint16(i+1), 0, uint16(at), []byte{v}), s.inside)
			}
		}
	}
}

// reach checks that the seeds meet what they are there for.
func (z *fuzzed) reach(t *testing.T) {
	t.Helper()
	before := z.last
	for _, s := range z.seeds {
		z.try(t, s.frame, s.inside)
	}
	d := z.last.since(before)
	var headers, errors uint64
	for _, m := range d.Members {
		headers += m.Headers
	}
	for _, s := range d.Services {
		errors += s.ICMPErrors
	}
	if headers == 0 || errors == 0 {
		t.Errorf("%d PROXY headers and %d ICMP errors", headers, errors)
	}
	for _, why := range []string{"fragment", "ip_options", "ipv6_extension", "bad_header", "length", "vlan"} {
		if d.Drops[why].Packets == 0 {
			t.Errorf("no frame was dropped as %s", why)
		}
	}
	for _, fam := range families {
		for _, k := range steering {
			if m := membersOf(k.id(fam)); d.Members[m[0]].PacketsIn+d.Members[m[1]].PacketsIn == 0 {
				t.Errorf("%s %s has no packet", k, fam.name)
			}
		}
	}
}

func (z *fuzzed) try(t *testing.T, in []byte, inside bool) {
	t.Helper()
	if len(in) < 14 || len(in) > 3400 {
		return // Program.Run takes neither
	}
	from := z.ext
	if inside {
		from = z.int
	}
	z.restore()
	before := z.last
	v, out := z.mustRun(t, from, in)
	z.last = z.tally(t)
	if err := z.consistent(in, out, v, z.last.since(before)); err != nil {
		t.Fatalf("%s, %v\nin by %s:\n%s\nout:\n%s", v, err, from.name, show(in), show(out))
	}
}

func (z *fuzzed) input(which uint16, grow int16, at uint16, patch []byte) []byte {
	if which == 0 {
		return patch
	}
	in := bytes.Clone(z.seeds[int(which-1)%len(z.seeds)].frame)
	if grow < 0 {
		in = in[:max(0, len(in)+int(grow))]
	} else {
		in = append(in, make([]byte, grow)...)
	}
	if int(at) < len(in) {
		copy(in[at:], patch)
	}
	return in
}
