package ping

import (
	"math/bits"
	"net/netip"
	"time"
)

// echo is what tells one echo from all others. The nonce cannot be guessed, so
// only who received the echo can answer it.
type echo struct {
	seq   uint16
	nonce [nonceLength]byte
}

const nonceLength = 16

// host decides about one host of an item. It has no clock of its own, and knows
// nothing of sockets.
type host struct {
	addr              netip.Addr
	interval, timeout time.Duration
	fall, rise        int

	// next is when the next echo is due.
	next time.Time
	// under says that an echo is under way, sent and lost at these times.
	under         bool
	echo          echo
	sentAt, until time.Time
	// probes are asked beside it.
	probes []echo

	verdict
}

// verdict is what is known of a host.
type verdict struct {
	down, known bool
	// row is how many results in a row speak against the verdict.
	row            int
	rtt            time.Duration
	sent, answered uint64
	// missed has a bit for each of the last echoes, the newest lowest.
	missed uint64
	recent int
	downs  uint64
	since  time.Time
	fault  string
}

func newHost(addr netip.Addr, i Item) *host {
	return &host{addr: addr, interval: i.Interval, timeout: i.Timeout, fall: i.Fall, rise: i.Rise}
}

// due says whether an echo is to be sent now.
func (h *host) due(now time.Time) bool { return !h.under && !now.Before(h.next) }

// lost says whether the echo under way has had its time.
func (h *host) lost(now time.Time) bool { return h.under && !now.Before(h.until) }

// wake is when due or lost will be true.
func (h *host) wake() time.Time {
	if h.under {
		return h.until
	}
	return h.next
}

// send notes that an echo is being sent.
func (h *host) send(now time.Time, e echo) {
	h.schedule(now)
	h.under, h.echo, h.sentAt, h.until = true, e, now, now.Add(h.timeout)
	h.sent++
	h.fault = ""
}

// schedule sets the time of the next echo. Who has slept sends none twice.
func (h *host) schedule(now time.Time) {
	h.next = h.next.Add(h.interval)
	if h.next.Before(now) {
		h.next = now.Add(h.interval)
	}
}

// fail notes that the echo could not be sent: a miss at once.
func (h *host) fail(now time.Time, fault string) (changed bool) {
	h.fault = fault
	return h.miss(now)
}

// hear takes an answer; it is none unless it belongs to the echo under way.
func (h *host) hear(now time.Time, e echo) (changed bool) {
	if !h.under || e != h.echo {
		return false
	}
	h.under = false
	h.rtt = now.Sub(h.sentAt)
	h.answered++
	h.record(0)
	return h.count(now, true, h.rise)
}

// miss notes that the echo under way has no answer.
func (h *host) miss(now time.Time) (changed bool) {
	h.under = false
	h.record(1)
	return h.count(now, false, h.fall)
}

// count turns the verdict after enough results in a row that speak against it.
func (h *host) count(now time.Time, answered bool, enough int) (changed bool) {
	if answered != h.down {
		changed = answered && !h.known
		h.known = h.known || answered
		h.row = 0
		return changed
	}
	if h.row++; h.row < enough {
		return false
	}
	h.row = 0
	h.down, h.known, h.since = !h.down, true, now
	if h.down {
		h.downs++
	}
	return true
}

// record shifts a result in.
func (h *host) record(miss uint64) {
	h.missed = h.missed<<1 | miss
	h.recent = min(h.recent+1, 64)
}

func (h *host) status() HostStatus {
	return HostStatus{
		Addr: h.addr, Up: !h.down, Known: h.known, RTT: h.rtt, Sent: h.sent, Answered: h.answered,
		Lost: bits.OnesCount64(h.missed), Recent: h.recent, Downs: h.downs, Since: h.since, Fault: h.fault,
	}
}
