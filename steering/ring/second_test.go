package ring

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// The second choice is who would hold the entry if the first were not there.
func TestSecondIsTheRunnerUp(t *testing.T) {
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 3))
		key, members := Key{byte(seed)}, randomMembers(rng, 8)
		entries := Build(key, members)
		seconds := Second(key, members, entries)
		for _, m := range members {
			without := slices.DeleteFunc(slices.Clone(members), func(o Member) bool { return o.Addr == m.Addr })
			for i, id := range Build(key, without) {
				if entries[i] == m.ID && seconds[i] != id {
					t.Fatalf("seed %d: the second choice of entry %d is %d, without the first %d holds it", seed, i, seconds[i], id)
				}
			}
		}
	}
}

func TestSecondOfOneIsNobody(t *testing.T) {
	for _, members := range [][]Member{nil, fleet(3), fleet(1, 0)} {
		for i, id := range Second(Key{1}, members, Build(Key{1}, members)) {
			if id != 0 {
				t.Fatalf("of %d members the second choice of entry %d is %d", len(members), i, id)
			}
		}
	}
}

// Second choices are spread by weight, too.
func TestSecondShares(t *testing.T) {
	members := fleet(1, 1, 1, 1)
	held := shares(Second(Key{3}, members, Build(Key{3}, members)))
	for _, m := range members {
		if off := float64(held[m.ID])/Entries - 0.25; off > Bound(0.25) || off < -Bound(0.25) {
			t.Errorf("member %d is second choice of %d entries", m.ID, held[m.ID])
		}
	}
}
