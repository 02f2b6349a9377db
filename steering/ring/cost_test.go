package ring

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
)

// BenchmarkGateway is what a gateway of many services or backends pays: all
// rings built at the start, and one backend that leaves and comes back in one
// of them.
func BenchmarkGateway(b *testing.B) {
	for _, size := range []struct{ services, backends int }{
		{1, 4}, {1, 100}, {1, 1000}, {1, 4096}, {64, 8}, {512, 8}, {512, 32},
	} {
		up := fleet(slices.Repeat([]uint32{1}, size.backends)...)
		down := slices.Clone(up)
		down[size.backends/2].Weight = 0
		name := fmt.Sprintf("services=%d/backends=%d", size.services, size.backends)
		b.Run(name+"/build", func(b *testing.B) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				for range size.services {
					Build(Key{1}, up)
				}
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/float64(size.services)/1024, "KiB/service")
		})
		b.Run(name+"/flap", func(b *testing.B) {
			entries := Build(Key{1}, up)
			for b.Loop() {
				Update(Key{1}, up, entries, down)
				Update(Key{1}, down, entries, up)
			}
		})
	}
}
