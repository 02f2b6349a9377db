package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"testing"
	"time"
)

// world is an env whose clock only moves when the program waits, and then at
// once, so that a test of an hour takes no time.
type world struct {
	env
	out, err bytes.Buffer
	clock    time.Time
	// pause is called for each wait, after the clock moved; interrupt is Ctrl-C.
	pause     func(interrupt context.CancelFunc)
	interrupt context.CancelFunc
}

func newWorld(terminal bool) *world {
	w := &world{clock: epoch, pause: func(context.CancelFunc) {}, interrupt: func() {}}
	w.env = quietEnv()
	w.stdout, w.stderr = &w.out, &w.err
	w.now = func() time.Time { return w.clock }
	w.after = func(d time.Duration) <-chan time.Time {
		w.clock = w.clock.Add(d)
		w.pause(w.interrupt)
		c := make(chan time.Time, 1)
		c <- w.clock
		return c
	}
	w.terminal = func(io.Writer) (int, int, bool) { return 100, 8, terminal }
	w.interruptible = func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, w.interrupt = context.WithCancel(ctx)
		return ctx, w.interrupt
	}
	return w
}

// node serves a fake node to this world; stop ends it before the test does.
func (w *world) node(t *testing.T) (n *fakeNode, socket string, stop func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	n = newFakeNode()
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket, stop = n.start(t, dir)
	return n, socket, stop
}

// run carries out a command line against the socket.
func (w *world) run(socket string, args ...string) int {
	return run(context.Background(), w.env, append([]string{"sluice", "--socket", socket}, args...))
}
