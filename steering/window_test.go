package steering

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestWindowIsAPartOfTheSorted(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		n := rng.IntN(2000)
		list := make([]uint32, n)
		for i := range list {
			list[i] = uint32(rng.IntN(1 + rng.IntN(2000)))
		}
		switch rng.IntN(4) {
		case 0:
			slices.Sort(list)
		case 1:
			slices.SortFunc(list, func(a, b uint32) int { return cmp.Compare(b, a) })
		}
		from := rng.IntN(n + 1)
		to := from + rng.IntN(n-from+1)
		want := slices.Sorted(slices.Values(list))
		if err := window(context.Background(), list, from, to, cmp.Compare[uint32]); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(list[from:to], want[from:to]) {
			t.Fatalf("%d to %d of %d differ", from, to, n)
		}
		slices.Sort(list)
		if !slices.Equal(list, want) {
			t.Fatal("elements were lost")
		}
	}
}

func TestWindowStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	list := make([]uint32, 1000)
	if err := window(ctx, list, 10, 20, cmp.Compare[uint32]); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

// A page must not cost what sorting costs: comparisons stay linear.
func TestWindowIsLinear(t *testing.T) {
	const n = 100_000
	list := make([]uint32, n)
	for i := range list {
		list[i] = uint32(i) * 2654435761
	}
	compared := 0
	err := window(context.Background(), list, n/2, n/2+100, func(a, b uint32) int {
		compared++
		return cmp.Compare(a, b)
	})
	if err != nil || compared > 6*n {
		t.Errorf("%d comparisons for %d elements, %v", compared, n, err)
	}
}
