package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestRing(t *testing.T) {
	var out, complaint bytes.Buffer
	if code := run(strings.Fields("bench ring --json --runs 2 --size 2x8 --size 1x100"), &out, &complaint); code != 0 {
		t.Fatalf("exit code %d: %s", code, complaint.String())
	}
	var a answer
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	if len(a.Rows) != 2*len(changes) {
		t.Errorf("%d rows", len(a.Rows))
	}
	for _, size := range []struct{ services, backends float64 }{{2, 8}, {1, 100}} {
		for _, c := range changes {
			r := a.find(t, map[string]any{"change": c.name, "services": size.services, "backends": size.backends})
			positive(t, r, "cpu_ms", "wall_ms")
			if c.everything {
				positive(t, r, "heap_mb", "rings_mb")
				continue
			}
			positive(t, r, "moved", "must")
			// Weighted rendezvous moves nothing that it need not.
			if r["moved_per_must"] != 1.0 {
				t.Errorf("moved %v entries where %v must", r["moved"], r["must"])
			}
		}
	}
}

// What moves between two that keep their shares need not move.
func TestMoves(t *testing.T) {
	for _, test := range []struct {
		before, after []uint32
		moved, must   int
	}{
		{[]uint32{1, 1, 2, 2}, []uint32{1, 1, 2, 2}, 0, 0},
		{[]uint32{1, 1, 2, 2}, []uint32{1, 1, 1, 1}, 2, 2},
		{[]uint32{1, 1, 2, 2}, []uint32{2, 2, 1, 1}, 4, 0},
		{[]uint32{1, 2, 3, 3}, []uint32{2, 1, 1, 2}, 4, 2},
		{[]uint32{0, 0, 0}, []uint32{5, 5, 5}, 3, 3},
	} {
		if moved, must := moves(test.before, test.after); moved != test.moved || must != test.must {
			t.Errorf("%v to %v: moved %d of %d, want %d of %d", test.before, test.after, moved, must, test.moved, test.must)
		}
	}
}
