package loader

import (
	"math/bits"
	"testing"
	"time"
)

// The table has four lines for every flow, and a power of two of them: the hash
// is masked, not divided.
func TestFlowLines(t *testing.T) {
	tests := map[int]uint32{1: 4096, 1024: 4096, 1025: 8192, 4096: 16384, 262144: 1 << 20, 262145: 1 << 21, 1_000_000: 1 << 22}
	for flows, want := range tests {
		if got := flowLines(flows); got != want {
			t.Errorf("%d flows get %d lines, want %d", flows, got, want)
		}
	}
	for flows := 1; flows < 1<<21; flows = flows*5/4 + 1 {
		lines := flowLines(flows)
		if bits.OnesCount32(lines) != 1 || int(lines) < linesPerFlow*flows || int(lines) > max(2*linesPerFlow*flows, minTable) {
			t.Errorf("%d flows get %d lines", flows, lines)
		}
	}
}

// A lifetime is rounded up to whole ticks, and a zero one is the default.
func TestLifetimesInTicks(t *testing.T) {
	const tick = time.Duration(1 << tickShift)
	for d, want := range map[time.Duration]uint32{0: 0, 1: 1, tick - 1: 1, tick: 1, tick + 1: 2, 120 * time.Hour: 402332} {
		if got := ticks(d); got != want {
			t.Errorf("%s is %d ticks, want %d", d, got, want)
		}
	}
	defaults := Lifetimes{Embryo: time.Minute, Established: 120 * time.Hour, HalfClosed: 2 * time.Minute, Closed: 10 * time.Second, Young: 10 * time.Second, Doubt: 135 * time.Minute}
	if got := (Lifetimes{}).withDefaults(); got != defaults {
		t.Errorf("defaults are %+v, want %+v", got, defaults)
	}
	set := Lifetimes{Embryo: 1, Established: 2, HalfClosed: 3, Closed: 4, Young: 5, Doubt: 6}
	if got := set.withDefaults(); got != set {
		t.Errorf("%+v became %+v", set, got)
	}
	// Young flows wait as handshakes do, killed ones as half-closed ones.
	states := Lifetimes{Embryo: tick, Established: 2 * tick, HalfClosed: 3 * tick, Closed: 4 * tick}.byState()
	if want := [6]uint32{0, 1, 2, 3, 4, 3}; states != want {
		t.Errorf("lifetimes by state are %v, want %v", states, want)
	}
	if got := fromTicks(ticks(time.Hour)); got < time.Hour || got >= time.Hour+tick {
		t.Errorf("an hour comes back as %s", got)
	}
}
