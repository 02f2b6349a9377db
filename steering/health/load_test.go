package health

import (
	"testing"
	"testing/synctest"
	"time"
)

// Half of the targets hang, more than may be checked at a time. The other half
// must not notice.
func TestHangingTargetsCostOnlyThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each, concurrency = 100, 40
		b := newBench(Options{Concurrency: concurrency})
		var targets []Target
		for n := range 2 * each {
			targets = append(targets, target(n))
			b.set(number(n), oldServer)
		}
		b.c.Set(targets)
		b.run(t)
		defer b.stop()
		time.Sleep(10 * time.Second)
		for n := range each {
			b.set(number(n), []string{swallows, keepsMum}[n%2])
		}
		time.Sleep(30 * time.Second) // all have hung by now, and wait in their lane
		marks := make([]int, 2*each)
		for n := range marks {
			marks[n] = len(b.times(number(n)))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for n := each; n < 2*each; n++ {
			times := b.times(number(n))[marks[n]:]
			if len(times) < 29 {
				t.Fatalf("%d checks of a healthy target in a minute, want 30", len(times))
			}
			for i := range len(times) - 1 {
				if gap := times[i+1].Sub(times[i]); gap > 2100*time.Millisecond {
					t.Fatalf("a healthy target was checked %v after the last time", gap)
				}
			}
		}
		for n := range each {
			s := statusOf(t, b.c, number(n).String())
			if checks := len(b.times(number(n))) - marks[n]; s.State != Down || checks < 5 {
				t.Fatalf("a hanging target is %v with %d checks in a minute", s.State, checks)
			}
		}
		if b.most > concurrency {
			t.Errorf("%d checks at a time, want no more than %d", b.most, concurrency)
		}
	})
}

func TestManyTargetsStartSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 4096
		b := newBench(Options{})
		var targets []Target
		for n := range count {
			b.set(number(n), oldServer)
			targets = append(targets, target(n))
		}
		b.c.Set(targets)
		b.run(t)
		defer b.stop()
		began := time.Now()
		time.Sleep(9 * time.Second)
		synctest.Wait()
		first, later := make(map[int64]int), make(map[int64]int)
		for n := range count {
			for i, at := range b.times(number(n)) {
				slice := at.Sub(began).Milliseconds() / 50
				if i == 0 {
					first[slice]++
				} else if i > 1 {
					later[slice%40]++
				}
			}
		}
		for slice, n := range first {
			// 200 each, by the start's pace.
			if slice > 21 || n > 300 {
				t.Errorf("%d first checks in the 50 ms from %d ms on", n, slice*50)
			}
		}
		for slice, n := range later {
			// 3 rounds of 4 096 in 40 slices are 307 each.
			if n < 200 || n > 420 {
				t.Errorf("%d checks in slice %d of the interval; they come in heaps", n, slice)
			}
		}
	})
}

// A server that keeps accounts is checked no more often than it bears, but
// followed up at once when it fails.
func TestPacedTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(Options{})
		fast := func(n int, name string) Target {
			tg := target(n)
			tg.Name = name
			tg.Settings = Settings{Interval: 200 * time.Millisecond, Timeout: 100 * time.Millisecond}
			return tg
		}
		b.set(number(1), newServer)
		b.set(number(2), oldServer)
		// Two services name the first server.
		b.c.Set([]Target{fast(1, "a"), fast(1, "b"), fast(2, "c")})
		b.run(t)
		defer b.stop()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := len(b.times(number(1))); n > 120 || n < 100 {
			t.Errorf("%d checks in 2 min of a server that bears one per second", n)
		}
		if n := len(b.times(number(2))); n < 590 {
			t.Errorf("%d checks in 2 min of a server that bears all, want 600", n)
		}
		if s := statusOf(t, b.c, "a"); !s.Paced || s.State != Up {
			t.Errorf("status = %+v, want it paced and up", s)
		}
		b.set(number(1), refuses)
		began := time.Now()
		for statusOf(t, b.c, "a").State == Up {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("down after %v although failing checks cost nothing", took)
		}
	})
}
