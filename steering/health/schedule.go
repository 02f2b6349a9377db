package health

import (
	"hash/fnv"
	"math"
	"time"
)

// phase is where in an interval the checks of a target lie, from 0 to 1. It
// hangs on the name alone, so that thousands of checks spread evenly and a
// restart moves none of them.
func phase(name string) float64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	// FNV leaves the high bits of similar names alike; the multiplication by a
	// large odd number mixes them.
	return float64(h.Sum64()*0x9e3779b97f4a7c15) / math.MaxUint64
}

// startPace is the time between the first checks of two targets: all are
// wanted at once, but thousands of connections must not begin in one instant.
const startPace = 250 * time.Microsecond

// rush is how long the first checks of total targets take that begin together.
func rush(t Target, total int) time.Duration {
	return min(time.Duration(total)*startPace, t.Settings.Interval)
}

// firstDelay is how long a target waits for its first check.
func firstDelay(t Target, rush time.Duration) time.Duration {
	return time.Duration(phase(t.Name) * float64(rush))
}

// secondGap leads from the place in the rush, where the first check was, to the
// target's own place in the interval.
func secondGap(t Target, rush time.Duration) time.Duration {
	i := t.Settings.Interval
	return i/2 + time.Duration(phase(t.Name)*float64(max(0, i-rush)))
}

// gap is the time from the beginning of one check to that of the next.
//
// Suspicion is followed up a little faster, so that a backend which falls
// silent is down within fall × interval although each check waits for its
// timeout: that holds from fall 2 on with timeout ≤ interval × (fall−1)/fall.
// Never below half an interval, for fall is there to bridge a short restart.
func gap(s Settings, j judge) time.Duration {
	if j.state == Up && j.streak > 0 && s.Fall > 1 {
		return max(s.Interval-s.Timeout/time.Duration(s.Fall-1), s.Interval/2)
	}
	return s.Interval
}
