package steering

import (
	"fmt"
	"net/netip"
	"testing"

	"sluice/internal/config"
)

// benchTable steers to n backends that are up.
func benchTable(b *testing.B, n int) *Table {
	c := &clock{}
	dp := newFakeDataplane(c)
	checker := &fakeChecker{results: make(chan CheckResult)}
	t, err := New(dp, Options{
		DataDir: b.TempDir(), Checker: checker, Resolver: &fakeResolver{dp: dp, acquired: map[netip.Addr]int{}},
		now: c.now, monotonic: c.monotonic,
	})
	if err != nil {
		b.Fatal(err)
	}
	s := serving()
	for i := range n {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 22)
		s.Backends = append(s.Backends, config.Backend{Name: fmt.Sprint("n", i), Addr: addr, Weight: 1})
	}
	if _, err := t.Apply(bg, settings(s)); err != nil {
		b.Fatal(err)
	}
	var results []CheckResult
	for _, id := range checker.running() {
		results = append(results, CheckResult{CheckID: id, Up: true})
	}
	if err := t.applyResults(results); err != nil {
		b.Fatal(err)
	}
	return t
}

// A flap of one backend is a change of its entries alone.
func BenchmarkHealthFlap(b *testing.B) {
	for _, n := range []int{100, 4000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			t := benchTable(b, n)
			id := CheckID{Backend: addrPort("10.1.0.7:22")}
			up := false
			for b.Loop() {
				if err := t.applyResults([]CheckResult{{CheckID: id, Up: up}}); err != nil {
					b.Fatal(err)
				}
				up = !up
			}
		})
	}
}
