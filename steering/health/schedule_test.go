package health

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// 4 096 checks of names as they occur must not come in heaps.
func TestPhasesAreSpread(t *testing.T) {
	const targets, slices = 4096, 32
	for _, form := range []string{"10.0.%d.%d:22", "[fd00::%x:%x]:22", "sftp/node%d-%d"} {
		var heap [slices]int
		for i := range targets {
			name := fmt.Sprintf(form, i/256, i%256)
			p := phase(name)
			if p < 0 || p >= 1 {
				t.Fatalf("phase(%q) = %v, want within [0, 1)", name, p)
			}
			if p != phase(name) {
				t.Fatalf("phase(%q) is not the same twice", name)
			}
			heap[int(p*slices)]++
		}
		for i, n := range heap {
			// 128 each on average, with a standard deviation of 11.
			if n < 80 || n > 180 {
				t.Errorf("%s: slice %d of the interval has %d checks of %d", form, i, n, targets)
			}
		}
	}
}

// The first two checks of many that begin together: the first within the rush,
// the second where all later ones will be, evenly over an interval.
func TestStart(t *testing.T) {
	for total, within := range map[int]time.Duration{
		1: startPace, 100: 100 * startPace, 4096: 4096 * startPace, 100_000: 2 * time.Second,
	} {
		var heap [8]int
		for n := range 4096 {
			target := Target{Name: fmt.Sprint("backend", n), Settings: Settings{Interval: 2 * time.Second}}
			r := rush(target, total)
			first := firstDelay(target, r)
			if r != within || first < 0 || first > within {
				t.Fatalf("delay among %d = %v within %v, want within %v", total, first, r, within)
			}
			second := first + secondGap(target, r) - time.Second
			if second < 0 || second > 2*time.Second {
				t.Fatalf("the second of %d is %v into its interval", total, second)
			}
			heap[min(second/(250*time.Millisecond), 7)]++
		}
		for i, n := range heap {
			if n < 430 || n > 600 { // 512 on average
				t.Errorf("among %d: slice %d of the interval has %d of 4 096", total, i, n)
			}
		}
	}
}

func TestGap(t *testing.T) {
	s := Settings{Interval: 2 * time.Second, Timeout: time.Second, Rise: 2, Fall: 3}
	with := func(change func(*Settings)) Settings { c := s; change(&c); return c }
	suspect := judge{state: Up, streak: 1}
	tests := []struct {
		name     string
		settings Settings
		judge    judge
		want     time.Duration
	}{
		{"all is well", s, judge{state: Up}, 2 * time.Second},
		{"down", s, judge{state: Down}, 2 * time.Second},
		{"coming up", s, judge{state: Down, streak: 1}, 2 * time.Second},
		{"suspect", s, suspect, 1500 * time.Millisecond},
		{"suspect, fall 2", with(func(s *Settings) { s.Fall = 2 }), suspect, time.Second},
		{"suspect, fall 2, long timeout", with(func(s *Settings) { s.Fall, s.Timeout = 2, 2*time.Second }), suspect, time.Second},
		{"suspect, timeout beyond the interval", with(func(s *Settings) { s.Timeout = 9 * time.Second }), suspect, time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := gap(test.settings, test.judge); got != test.want {
				t.Errorf("gap = %v, want %v", got, test.want)
			}
		})
	}
}

// A backend that falls silent is down within fall × interval, whenever in the
// interval it does so.
func TestSilenceIsNoticedInTime(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		s := Settings{Interval: time.Duration(rng.IntN(5000)+100) * time.Millisecond, Fall: rng.IntN(5) + 2}
		s.Timeout = time.Duration(rng.Int64N(int64(s.Interval)*int64(s.Fall-1)/int64(s.Fall))) + 1
		j := judge{state: Up}
		// The last good check was at 0, and the silence began right after it.
		at := gap(s, j)
		for {
			j.see(Outcome{Err: errors.New("silent"), Hung: true}, s)
			if j.state == Down {
				break
			}
			at += max(gap(s, j), s.Timeout)
		}
		rounding := time.Duration(s.Fall)
		if known := at + s.Timeout; known > time.Duration(s.Fall)*s.Interval+rounding {
			t.Fatalf("interval %v, timeout %v, fall %d: down after %v", s.Interval, s.Timeout, s.Fall, known)
		}
	}
}
