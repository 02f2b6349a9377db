package vip

import "context"

// hands do a cluster's work on interfaces and addresses, one piece after the other
// and beside the loop: another program that changes interfaces may keep the kernel
// from answering for longer than adverts may be missed.
type hands struct {
	work chan func()
}

// handsFull is how much work may wait; who asks for more waits himself.
const handsFull = 16

func newHands() *hands { return &hands{work: make(chan func(), handsFull)} }

// run works until ctx ends.
func (h *hands) run(ctx context.Context) {
	for {
		select {
		case f := <-h.work:
			f()
		case <-ctx.Done():
			return
		}
	}
}

// do has something done soon, after what was asked for before.
func (h *hands) do(f func()) { h.work <- f }

// wait has something done and returns when it is.
func (h *hands) wait(f func()) {
	done := make(chan struct{})
	h.work <- func() {
		defer close(done)
		f()
	}
	<-done
}
