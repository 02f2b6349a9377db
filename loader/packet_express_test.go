package loader

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/nettest/frame"
)

// TestExpress: the straight way of ordinary packets does what the general way
// does, byte for byte and count for count, to good frames of every kind of
// service and to what becomes of them when single bytes change.
func TestExpress(t *testing.T) {
	straight := newFuzzed(t, newRig(t))
	general := newFuzzed(t, newRig(t, func(o *Options) { o.AlwaysLookUp = true }))
	if a, b := len(straight.seeds), len(general.seeds); a != b {
		t.Fatalf("%d frames for one, %d for the other", a, b)
	}
	straight.prove()
	general.prove()
	express := map[netip.AddrPort]bool{}
	for i, s := range straight.seeds {
		if same(t, straight, general, i, 0, s.frame[:0]) {
			f, err := frame.Decode(s.frame)
			mustRig(t, err)
			express[f.Dst] = true
		}
		// The first frames of a kind are those of a living flow.
		if i%20 > 2 && i%20 != 12 {
			continue
		}
		for at := 12; at < len(s.frame); at++ {
			for _, v := range []byte{1, s.frame[at] ^ 0x80} {
				same(t, straight, general, i, at, []byte{v})
			}
		}
	}
	for _, k := range []kind{hide, keep, pooled, dsr, ipip, gue} {
		for _, f := range families {
			if !express[k.service(f).Listen] {
				t.Errorf("%s in %s: no frame went straight, so nothing is shown", k, f.name)
			}
		}
	}
}

// same gives frame i with a patch to both, and reports whether the first took it
// the straight way.
func same(t *testing.T, a, b *fuzzed, i, at int, patch []byte) bool {
	t.Helper()
	got, want := a.one(t, i, at, patch), b.one(t, i, at, patch)
	if got.verdict != want.verdict {
		t.Errorf("%s the straight way, %s the general", got.verdict, want.verdict)
	} else if !bytes.Equal(got.out[12:], want.out[12:]) { // the MACs are those of each rig's own interfaces
		t.Errorf("the frame differs (-general +straight):\n%s", cmp.Diff(lines(want.out), lines(got.out)))
	}
	if diff := cmp.Diff(want.counts, got.counts, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("counters differ (-general +straight):\n%s", diff)
	}
	if want.straight {
		t.Error("the reference took the straight way, too")
	}
	if t.Failed() {
		t.Fatalf("frame %d, %x at %d:\n%s", i, patch, at, show(a.input(uint16(i+1), 0, uint16(at), patch)))
	}
	return got.straight
}

// prove makes young flows established, so that none is past its lifetime before
// the last frame.
func (z *fuzzed) prove() {
	for line, f := range z.lines {
		if FlowState(f.Status&statusState) == FlowYoung {
			f.Status = f.Status&^statusState | statusAdvanced | uint32(FlowEstablished)
			z.lines[line] = f
		}
	}
}

// fate is what became of a frame and what was counted.
type fate struct {
	verdict  verdict
	out      []byte
	counts   tally
	straight bool
}

func (z *fuzzed) one(t *testing.T, i, at int, patch []byte) (f fate) {
	t.Helper()
	from := z.ext
	if z.seeds[i].inside {
		from = z.int
	}
	z.restore()
	before := z.last
	in := z.input(uint16(i+1), 0, uint16(at), patch)
	z.clearMarks(t, in)
	z.clearScratch(t)
	f.verdict, f.out = z.mustRun(t, from, in)
	f.straight = z.scratchClear(t)
	z.last = z.tally(t)
	f.counts = z.last.since(before)
	return f
}

// clearMarks takes away what earlier frames of the client left in doubt: such
// packets have no straight way.
func (z *fuzzed) clearMarks(t *testing.T, in []byte) {
	t.Helper()
	f, err := frame.Decode(in)
	if err != nil || !f.Src.IsValid() {
		return
	}
	for id, s := range z.services {
		if !s.Mode.OneWay() || s.Listen != f.Dst {
			continue
		}
		ring, err := z.d.Ring(id)
		mustRig(t, err)
		ring.Clear(z.d.FlowHash(f.Src, s), ^uint32(ringMember))
	}
}

// The general way works on each packet in a scratch area, where it leaves what
// the headers say; the straight way has no need of it.

func (z *fuzzed) clearScratch(t *testing.T) {
	t.Helper()
	clear := make([][]byte, ebpf.MustPossibleCPU())
	for i := range clear {
		clear[i] = make([]byte, z.d.objs.Scratches.ValueSize())
	}
	mustRig(t, z.d.objs.Scratches.Put(uint32(0), clear))
}

func (z *fuzzed) scratchClear(t *testing.T) bool {
	t.Helper()
	var areas [][]byte
	mustRig(t, z.d.objs.Scratches.Lookup(uint32(0), &areas))
	for _, area := range areas {
		if slices.ContainsFunc(area, func(b byte) bool { return b != 0 }) {
			return false
		}
	}
	return true
}
