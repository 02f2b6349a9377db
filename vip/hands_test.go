package vip

import (
	"context"
	"slices"
	"testing"
	"time"
)

// TestHands: work is done in its order and beside who asks for it; who waits finds
// all done that was asked for before.
func TestHands(t *testing.T) {
	h := newHands()
	go h.run(t.Context())
	var done []int
	hold := make(chan struct{})
	h.do(func() { <-hold; done = append(done, 1) }) // does not keep us
	h.do(func() { done = append(done, 2) })
	close(hold)
	h.wait(func() { done = append(done, 3) })
	if want := []int{1, 2, 3}; !slices.Equal(done, want) {
		t.Errorf("done in the order %v, want %v", done, want)
	}
}

// TestReport: hands give their answer to a loop whose inbox is full and that waits
// for them.
func TestReport(t *testing.T) {
	c := &cluster{inbox: make(chan func(time.Duration), 1), ended: make(chan struct{}), hands: newHands()}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go c.hands.run(ctx)
	c.inbox <- func(time.Duration) {}
	told := make(chan struct{})
	c.hands.do(func() { c.report(func(time.Duration) { close(told) }) })
	c.hands.wait(func() {})
	for range 2 {
		(<-c.inbox)(0)
	}
	<-told
}
