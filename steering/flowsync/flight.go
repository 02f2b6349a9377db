package flowsync

import "time"

// flight are the records that a peer has not acknowledged.
type flight struct {
	records []record
	// snapshot counts those of a snapshot.
	snapshot int
}

type record struct {
	seq uint64
	// since is when the oldest thing it tells happened.
	since    time.Time
	snapshot bool
}

func (f *flight) add(r record) {
	f.records = append(f.records, r)
	if r.snapshot {
		f.snapshot++
	}
}

// acked takes away what is acknowledged.
func (f *flight) acked(seq uint64) {
	n := 0
	for n < len(f.records) && f.records[n].seq <= seq {
		if f.records[n].snapshot {
			f.snapshot--
		}
		n++
	}
	// What is behind moves to the front, so that the array does not creep on.
	f.records = append(f.records[:0], f.records[n:]...)
}

// lag is the age of the oldest change that is not acknowledged, also of those
// that wait, 0 for none. mu of the peer must be held.
func (p *peer) lag(now time.Time) time.Duration {
	var lag time.Duration
	if len(p.flight.records) > 0 {
		lag = now.Sub(p.flight.records[0].since)
	}
	if !p.oldest.IsZero() {
		lag = max(lag, now.Sub(p.oldest))
	}
	return lag
}
