// Package stall notices when the machine stands still, as others on it make it do:
// what a test of timeouts saw meanwhile says nothing about what it tests.
package stall

import (
	"sync"
	"time"
)

// Every is how often a Watcher looks.
const Every = 5 * time.Millisecond

// kept bounds what is remembered; a longer memory of short stalls helps nobody.
const kept = 4096

// Watcher remembers when it was not run for longer than it should.
type Watcher struct {
	worth time.Duration
	end   chan struct{}
	ended chan struct{}

	mu    sync.Mutex
	seen  []gap // the oldest first
	until time.Time
}

type gap struct {
	from, to time.Time
}

// Watch remembers stalls of at least worth from now on, until Close.
func Watch(worth time.Duration) *Watcher {
	w := &Watcher{worth: worth, end: make(chan struct{}), ended: make(chan struct{}), until: time.Now()}
	go w.run()
	return w
}

// Close ends the watch; what was seen can still be asked for.
func (w *Watcher) Close() {
	close(w.end)
	<-w.ended
}

func (w *Watcher) run() {
	defer close(w.ended)
	for {
		select {
		case <-w.end:
			return
		case <-time.After(Every):
			w.look(time.Now())
		}
	}
}

func (w *Watcher) look(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now.Sub(w.until) >= w.worth+Every {
		w.seen = append(w.seen, gap{w.until, now})
		if len(w.seen) > kept {
			w.seen = w.seen[1:]
		}
	}
	w.until = now
}

// Longest is the longest stall that lasted into the time since then, 0 for none.
func (w *Watcher) Longest(since time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var longest time.Duration
	for _, g := range w.seen {
		if g.to.After(since) {
			longest = max(longest, g.to.Sub(g.from)-Every)
		}
	}
	return longest
}
