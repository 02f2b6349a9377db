package loader_test

import (
	"sync"
	"testing"

	"sluice/loader"
)

// Each entry has its own word, from the first to the last, in the mapping and
// in the map, and they outlive the process.
func TestRingEntries(t *testing.T) {
	t.Parallel()
	n, o := bare(t)
	dp := openIn(t, n, o)
	must(t, dp.PutService(testService, shapes()["hide v4"]))
	ring, err := dp.Ring(testService)
	must(t, err)
	member := func(i int) loader.MemberID { return loader.MemberID(i%(loader.MaxMembers-1)) + 1 }
	for i := range loader.RingEntries {
		if m := ring.Get(i); m != 0 {
			t.Fatalf("entry %d of a new ring names member %d", i, m)
		}
		ring.Set(i, member(i))
	}
	if again, err := dp.Ring(testService); err != nil || again != ring {
		t.Errorf("asking again gives another ring (%v)", err)
	}
	must(t, dp.Close())
	dp = openIn(t, n, o)
	ring, err = dp.Ring(testService)
	must(t, err)
	for i := range loader.RingEntries {
		if m := ring.Get(i); m != member(i) {
			t.Fatalf("entry %d names member %d, want %d", i, m, member(i))
		}
	}
	for _, i := range []int{0, 1, 2, loader.RingEntries / 2, loader.RingEntries - 2, loader.RingEntries - 1} {
		if word, err := ring.InMap(i); err != nil || word != 1<<31|uint32(member(i)) {
			t.Errorf("the programs read %#x for entry %d (%v), want member %d, moved", word, i, err, member(i))
		}
	}
}

// The programs set marks, and a sweep clears them, while user space sets
// members: neither undoes what the other wrote.
func TestRingMarksAndMembers(t *testing.T) {
	t.Parallel()
	n, o := bare(t)
	dp := openIn(t, n, o)
	ring, err := dp.Ring(testService)
	must(t, err)
	const entries, rounds = 4, 200_000
	const moved = 1 << 31 // by each Set
	marks := []uint32{1 << 30, 1 << 29, 1 << 28, 1 << 27}
	for i := range entries {
		ring.Set(i, 1001)
	}
	var writers sync.WaitGroup
	writers.Go(func() {
		for i := range rounds {
			m := loader.MemberID(i%1000) + 1
			if ring.Set(i%entries, m); ring.Get(i%entries) != m {
				t.Errorf("round %d: a mark changed the member", i)
				return
			}
		}
	})
	writers.Go(func() {
		for i := range rounds {
			mark := marks[i%len(marks)]
			ring.Mark(i%entries, mark)
			set := ring.Marks(i%entries) &^ moved
			ring.Clear(i%entries, mark)
			if cleared := ring.Marks(i%entries) &^ moved; set != mark || cleared != 0 {
				t.Errorf("round %d: after mark %#x was set the marks are %#x, and %#x after it was cleared", i, mark, set, cleared)
				return
			}
		}
	})
	writers.Wait()
	// What does not fit the field must not become a mark.
	ring.Set(entries, 0xff123456)
	if m, marks := ring.Get(entries), ring.Marks(entries); m != 0x123456 || marks != moved {
		t.Errorf("a member of 32 bits became member %#x with marks %#x", m, marks)
	}
}
