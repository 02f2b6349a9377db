package loader

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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
	sent := 0
	for i, s := range straight.seeds {
		sent += same(t, straight, general, i, 0, s.frame[:0])
		// The first frames of a kind are those of a living flow.
		if i%20 > 2 && i%20 != 12 {
			continue
		}
		for at := 12; at < len(s.frame); at++ {
			for _, v := range []byte{0, 1, s.frame[at] ^ 1, s.frame[at] ^ 0x80} {
				same(t, straight, general, i, at, []byte{v})
			}
		}
	}
	if sent < len(straight.seeds)/4 {
		t.Errorf("only %d of %d frames were sent on: nothing is shown", sent, len(straight.seeds))
	}
}

// same gives frame i with a patch to both, and returns 1 if it was sent on.
func same(t *testing.T, a, b *fuzzed, i, at int, patch []byte) int {
	t.Helper()
	v, out, counts := a.one(t, i, at, patch)
	w, other, otherCounts := b.one(t, i, at, patch)
	if v != w {
		t.Errorf("frame %d, %x at %d: %s the straight way, %s the general", i, patch, at, v, w)
	}
	// The MACs are those of each rig's own interfaces.
	if v == w && !bytes.Equal(out[12:], other[12:]) {
		t.Errorf("frame %d, %x at %d (-general +straight):\n%s", i, patch, at, cmp.Diff(lines(other), lines(out)))
	}
	if diff := cmp.Diff(otherCounts, counts, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("frame %d, %x at %d (-general +straight):\n%s", i, patch, at, diff)
	}
	if t.Failed() {
		t.Fatalf("the frame:\n%s", show(a.input(uint16(i+1), 0, uint16(at), patch)))
	}
	if v == xdpTX || v == xdpRedirect {
		return 1
	}
	return 0
}

// one runs a frame and says what became of it and what was counted.
func (z *fuzzed) one(t *testing.T, i, at int, patch []byte) (verdict, []byte, tally) {
	t.Helper()
	from := z.ext
	if z.seeds[i].inside {
		from = z.int
	}
	z.restore()
	before := z.last
	v, out := z.mustRun(t, from, z.input(uint16(i+1), 0, uint16(at), patch))
	z.last = z.tally(t)
	return v, out, z.last.since(before)
}
