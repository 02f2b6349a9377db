package process

import "time"

// backoff spaces restarts: each failure doubles the pause up to a limit, and a
// process that lived long enough has cleared its record.
type backoff struct {
	first, limit, stable time.Duration
	next                 time.Duration
}

// pause returns how long to wait before starting a process again that lived
// for so long.
func (b *backoff) pause(lived time.Duration) time.Duration {
	if b.next == 0 || lived >= b.stable {
		b.next = b.first
	}
	pause := b.next
	b.next = min(2*b.next, b.limit)
	return pause
}
