package ring

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// Whatever sequence of changes led to a ring, it is the one that a gateway
// builds which starts now.
func TestUpdateEqualsBuild(t *testing.T) {
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 9))
		key := Key{byte(seed)}
		have := randomMembers(rng, 15)
		entries := Build(key, have)
		for step := range 8 {
			want := mutate(rng, have)
			Update(key, have, entries, want)
			if fresh := Build(key, want); !slices.Equal(entries, fresh) {
				t.Fatalf("seed %d step %d: update of\n%v to\n%v differs from a build", seed, step, have, want)
			}
			have = want
		}
	}
}

// mutate returns members with a few removed, added, re-weighted, re-numbered
// and put in another order; now and then all are gone.
func mutate(rng *rand.Rand, members []Member) []Member {
	if rng.IntN(8) == 0 {
		return nil
	}
	next := slices.Clone(members)
	for range rng.IntN(4) {
		n := rng.IntN(20)
		at := slices.IndexFunc(next, func(m Member) bool { return m.Addr == member(n, 0).Addr })
		switch {
		case at < 0:
			next = append(next, member(n, 1+uint32(rng.IntN(5))))
		case rng.IntN(2) == 0:
			next = slices.Delete(next, at, at+1)
		default:
			next[at].Weight = uint32(rng.IntN(6))
		}
	}
	if rng.IntN(3) == 0 && len(next) > 1 {
		// Two swap ids: an id of have names another member in want.
		next[0].ID, next[1].ID = next[1].ID, next[0].ID
	}
	rng.Shuffle(len(next), func(i, j int) { next[i], next[j] = next[j], next[i] })
	return next
}

// A flap of one backend among thousands must not cost a build.
func BenchmarkFlap(b *testing.B) {
	for _, n := range []int{100, 4096} {
		up := fleet(slices.Repeat([]uint32{1}, n)...)
		down := slices.Clone(up)
		down[n/2].Weight = 0
		entries := Build(Key{1}, up)
		b.Run(fmt.Sprintf("members=%d/down", n), func(b *testing.B) {
			scratch := make([]uint32, Entries)
			for b.Loop() {
				copy(scratch, entries)
				Update(Key{1}, up, scratch, down)
			}
		})
		without := Build(Key{1}, down)
		b.Run(fmt.Sprintf("members=%d/up", n), func(b *testing.B) {
			scratch := make([]uint32, Entries)
			for b.Loop() {
				copy(scratch, without)
				Update(Key{1}, down, scratch, up)
			}
		})
	}
}
