package loader

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"sluice/internal/nettest/frame"
)

// fuzzed is a rig with a living flow of every kind, which each input meets in
// the same state.
type fuzzed struct {
	*rig
	lines map[uint32]bpfFlow
	seeds []seed
	// marks are the addresses without which a frame cannot be ours.
	marks [][]byte
}

type seed struct {
	inside bool // comes in by the interface of near
	frame  []byte
}

func newFuzzed(f *testing.F) *fuzzed {
	z := &fuzzed{rig: newRig(f), lines: map[uint32]bpfFlow{}}
	for _, fam := range families {
		for _, a := range []netip.Addr{fam.vip, fam.twin, fam.local, fam.near.Addr(), fam.far.Addr()} {
			z.marks = append(z.marks, a.AsSlice())
		}
		for k := hide; k <= single; k++ {
			z.addSeeds(f, stand{rig: z.rig, family: fam, kind: k, id: k.id(fam), svc: k.service(fam)})
		}
	}
	err := z.d.scanLines(f.Context(), func(line uint32, flow *bpfFlow) bool {
		z.lines[line] = *flow
		return true
	})
	mustRig(f, err)
	return z
}

// addSeeds establishes a flow, and takes frames of every kind from it and from
// a client that is not known.
func (z *fuzzed) addSeeds(f *testing.F, s stand) {
	for which := range 2 {
		c := &talk{stand: s, client: s.nextClient(), via: hopRouter, member: membersOf(s.id)[which]}
		c.to = Member{Addr: s.near, NextHop: hopNear}
		if which == 1 {
			c.to = Member{Addr: s.far, NextHop: hopFar}
		}
		c.restart()
		c.source = c.client
		z.greet(f, c)
		for _, from := range []side{fromClient, fromBackend} {
			for _, flags := range []frame.Flags{frame.SYN, frame.SYN | frame.ACK, frame.ACK, frame.FIN | frame.ACK, frame.RST} {
				at, fr := c.segment(from, flags, "data")
				z.add(f, at, fr)
				fr.VLANs = []uint16{0, 7}
				z.add(f, at, fr)
			}
		}
		for _, o := range s.oddities() {
			at, fr := c.segment(fromClient, frame.ACK, "data")
			o.change(&fr)
			z.add(f, at, fr)
		}
	}
}

// greet tries a handshake with whatever backend the ring has for the client.
func (z *fuzzed) greet(f *testing.F, c *talk) {
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

func (z *fuzzed) add(f *testing.F, at iface, fr frame.Frame) {
	z.seeds = append(z.seeds, seed{inside: at.name == z.int.name, frame: build(f, fr)})
}

// restore puts the flows back as they were before the last input.
func (z *fuzzed) restore(t *testing.T) {
	t.Helper()
	for line, f := range z.lines {
		mustRig(t, z.d.objs.Flows.Put(line, &f))
	}
}

// FuzzSteer hands arbitrary bytes to the program. Whatever they are, what it
// does must be consistent.
func FuzzSteer(f *testing.F) {
	z := newFuzzed(f)
	for _, s := range z.seeds {
		f.Add(s.inside, s.frame)
	}
	for _, fam := range families {
		for _, fr := range foreignFrames(fam) {
			f.Add(false, build(f, fr))
		}
	}
	f.Fuzz(func(t *testing.T, inside bool, in []byte) {
		if len(in) < 14 || len(in) > 3400 {
			return // Program.Run takes neither
		}
		from := z.ext
		if inside {
			from = z.int
		}
		z.restore(t)
		before := z.tally(t)
		v, out := z.mustRun(t, from, in)
		if err := z.consistent(in, out, v, z.tally(t).since(before)); err != nil {
			t.Fatalf("%s, %v\nin by %s:\n%s\nout:\n%s", v, err, from.name, show(in), show(out))
		}
	})
}

// consistent says what is wrong with what became of a frame.
func (z *fuzzed) consistent(in, out []byte, v verdict, counts tally) error {
	if (v == xdpPass || v == xdpDrop) && !bytes.Equal(in, out) {
		return fmt.Errorf("a frame that is not sent on was changed")
	}
	if !z.ours(in) && (v != xdpPass || counts.packets() != 0) {
		return fmt.Errorf("a frame without any of our addresses is not passed, or counted")
	}
	moved, drops := counts.moved(), counts.dropped()
	switch v {
	case xdpPass:
		if moved != 0 || drops != 0 {
			return fmt.Errorf("passed and counted: %+v", counts)
		}
		return nil
	case xdpDrop:
		if moved != 0 || drops != 1 {
			return fmt.Errorf("dropped and counted: %+v", counts)
		}
		return nil
	case xdpTX, xdpRedirect:
		if moved+drops != 1 || drops == 1 && v != xdpTX {
			return fmt.Errorf("sent and counted: %+v", counts)
		}
		return z.sent(in, out, drops == 1, counts)
	default:
		return fmt.Errorf("no verdict of ours")
	}
}

// sent says what is wrong with a frame that goes out: reset is one made of the
// frame that came in.
func (z *fuzzed) sent(in, out []byte, reset bool, counts tally) error {
	if !reset && (len(in) != len(out) || ipLength(in) != ipLength(out)) {
		return fmt.Errorf("a frame of %d bytes and IP length %d leaves with %d and %d", len(in), ipLength(in), len(out), ipLength(out))
	}
	if bytes := counts.bytes(); bytes != uint64(ipLength(in)) {
		return fmt.Errorf("%d bytes counted, IP length is %d", bytes, ipLength(in))
	}
	if frame.Verify(in) != nil && !reset {
		return nil
	}
	if err := frame.Verify(out); err != nil {
		return err
	}
	f, err := frame.Decode(out)
	if err == nil && reset && f.Src.IsValid() && (f.Flags&frame.RST == 0 || len(f.Payload) > 0) {
		err = fmt.Errorf("an answer of our own is no bare reset")
	}
	return err
}

// ours says that a frame holds an address of ours at all.
func (z *fuzzed) ours(in []byte) bool {
	for _, mark := range z.marks {
		if bytes.Contains(in, mark) {
			return true
		}
	}
	return false
}

// moved and dropped are the packets that went on, and those that did not.
func (c tally) moved() (n uint64) {
	for _, m := range c.Members {
		n += m.PacketsIn + m.PacketsOut
	}
	return n
}

func (c tally) dropped() (n uint64) {
	for _, d := range c.Drops {
		n += d.Packets
	}
	return n
}

func (c tally) packets() (n uint64) {
	for _, s := range c.Services {
		n += s.PacketsIn
	}
	return n + c.moved() + c.dropped()
}

func (c tally) bytes() (n uint64) {
	for _, m := range c.Members {
		n += m.BytesIn + m.BytesOut
	}
	for _, d := range c.Drops {
		n += d.Bytes
	}
	return n
}
