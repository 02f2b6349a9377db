package loader

import (
	"testing"

	"sluice/internal/nettest/frame"
)

// Bits of a status word, bpf/shared.h.
const (
	finClient    = 1 << 8
	finBackend   = 1 << 9
	doubtClient  = 1 << 13
	doubtBackend = 1 << 14
	wasReset     = 1 << 15
)

// testRace: packets of the two directions meet on two CPUs, each of which has
// changed its own entry and not yet the other's. What one saw must not be
// undone by the other.
func testRace(t *testing.T, r *rig) {
	both := uint32(finClient | finBackend)
	for _, race := range []struct {
		name string
		back uint32 // the entry for answers when the client's FIN comes
		want uint32 // and after it
	}{
		{"one FIN", uint32(FlowEstablished), finClient | doubtClient | uint32(FlowHalfClosed)},
		{"two FINs", finBackend | uint32(FlowHalfClosed), both | uint32(FlowClosed)},
		{"two FINs in doubt", finBackend | doubtBackend | uint32(FlowHalfClosed), both | doubtClient | doubtBackend | uint32(FlowClosed)},
		{"FIN and reset", wasReset | uint32(FlowClosed), finClient | wasReset | uint32(FlowClosed)},
		{"FIN and reset in doubt", doubtBackend | uint32(FlowClosed), finClient | doubtClient | doubtBackend | uint32(FlowClosed)},
		{"FIN and kill", uint32(FlowKilled), finClient | doubtClient | uint32(FlowKilled)},
	} {
		r.plain(t, natKinds, func(t *testing.T, s stand) {
			t.Run(race.name, func(t *testing.T) {
				c := s.established(t, 0)
				c.changeBack(t, func(f *bpfFlow) { f.Status = race.back })
				at, f := c.segment(fromClient, frame.FIN|frame.ACK, "")
				c.mustRun(t, at, build(t, f))
				if got := c.back(t).Status; got != race.want {
					t.Errorf("the entry for answers has status %#x, want %#x", got, race.want)
				}
			})
		})
	}
}

// changeBack edits the entry for answers.
func (c *talk) changeBack(t *testing.T, edit func(*bpfFlow)) {
	t.Helper()
	key := c.backKey()
	line, f, err := c.d.find(key, c.backHash())
	mustRig(t, err)
	if f == nil {
		t.Fatal("there is no entry for answers")
	}
	edit(f)
	if line == NoLine {
		mustRig(t, c.d.objs.FlowsOverflow.Put(&key, f))
		return
	}
	mustRig(t, c.d.objs.Flows.Put(line, f))
}
