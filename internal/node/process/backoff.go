package process

import "time"

// backoff spaces restarts: each failure doubles the pause up to a limit, and a
// process that lived long enough has cleared its record.
type backoff struct {
	first, limit, stable time.Duration
	// atOnce has a process with a clear record started again without a pause.
	atOnce bool
	next   time.Duration
	marked bool // the record is not clear
}

// pause returns how long to wait before starting a process again that lived
// for so long.
func (b *backoff) pause(lived time.Duration) time.Duration {
	if !b.marked || lived >= b.stable {
		b.marked, b.next = true, b.first
		if b.atOnce {
			return 0
		}
	}
	pause := b.next
	b.next = min(2*b.next, b.limit)
	return pause
}
