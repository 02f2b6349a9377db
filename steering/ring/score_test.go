package ring

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestLnAgreesWithMath(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50_000 {
		x := draw(rng.Uint64(), rng.IntN(Entries))
		if got, want := ln(x), math.Log(x); math.Abs(got-want) > 1e-15*math.Abs(want) {
			t.Fatalf("ln(%v) = %v, want %v", x, got, want)
		}
	}
}

func TestDrawStaysInside(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var sum float64
	const draws = 100_000
	for range draws {
		u := draw(rng.Uint64(), rng.IntN(Entries))
		if u <= 0 || u >= 1 {
			t.Fatalf("draw returned %v", u)
		}
		sum += u
	}
	// The mean of n uniform draws has a deviation of 1/√(12n).
	if mean := sum / draws; math.Abs(mean-0.5) > 5/math.Sqrt(12*draws) {
		t.Errorf("mean of the draws is %v", mean)
	}
}

// The short cut before the logarithm must never change who wins, so best is
// compared with the definition.
func TestBestIsTheSmallestScore(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 5000 {
		candidates := compile(Key{1}, randomMembers(rng, 1+rng.IntN(30)))
		entry := rng.IntN(Entries)
		want := nobody
		for _, c := range candidates {
			if s := score(draw(c.stream, entry), c.weight); s < want.score {
				want = claim{id: c.id, rank: c.rank, score: s}
			}
		}
		if got := best(fields(candidates), entry, nobody, 0); got != want {
			t.Fatalf("entry %d: best = %+v, want %+v", entry, got, want)
		}
	}
}
