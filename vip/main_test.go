package vip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/rpc"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"sluice/vip/election"
)

// The test binary also plays the daemons of these tests, each in a namespace, which
// a process has as a whole.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "daemon" {
		if err := playDaemon(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// stdio is the pipe to the test.
type stdio struct {
	io.Reader
	io.Writer
}

func (stdio) Close() error { return nil }

// playDaemon runs a daemon that does what the test wants; the end of its input ends
// it as a crash of the node's parent would: for a successor.
func playDaemon(dir string) error {
	if err := hurry(); err != nil {
		return err
	}
	words, err := openWords(dir)
	if err != nil {
		return err
	}
	wall, err := openClock()
	if err != nil {
		return err
	}
	d, err := New(Options{Owners: words, Directory: dir, Runtime: dir, Wall: wall.now, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := &Remote{d: d, wall: wall, words: words, cancel: cancel, begin: make(chan struct{})}
	calls := rpc.NewServer()
	if err := calls.RegisterName("D", r); err != nil {
		return err
	}
	go func() {
		calls.ServeConn(stdio{os.Stdin, os.Stdout})
		cancel()
	}()
	select {
	case <-r.begin:
	case <-ctx.Done():
	}
	return d.Run(ctx, r.leave.Load)
}

// hurry starts the process anew in the rank it has when a parent starts it, so that
// a busy machine does not decide these tests.
func hurry() error {
	const done = "SLUICE_TEST_URGENT"
	if os.Getenv(done) != "" {
		return nil
	}
	runtime.LockOSThread() // what exec starts has the rank of this thread
	if err := unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_RR, Priority: 1}, 0); err != nil {
		fmt.Fprintln(os.Stderr, "without real-time priority:", err)
	}
	return unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), done+"=1"))
}

// Remote are the methods of a daemon, for a test in another process.
type Remote struct {
	d      *Daemon
	wall   *shifted
	words  *words
	cancel context.CancelFunc
	begin  chan struct{}
	leave  atomic.Bool
}

// Wish is an order.
type Wish struct {
	Cluster string
	Order   election.Order
	Hold    time.Duration
}

// Begin has the daemon run.
func (r *Remote) Begin(_ int, _ *int) error { close(r.begin); return nil }

// Apply retries until the daemon runs.
func (r *Remote) Apply(p Plan, _ *int) error {
	for {
		r.d.mu.Lock()
		runs := r.d.ctx != nil
		r.d.mu.Unlock()
		if runs {
			return r.d.Apply(p)
		}
		time.Sleep(time.Millisecond)
	}
}

// Step sets the clock on.
func (r *Remote) Step(d time.Duration, _ *int) error { r.wall.ahead.Add(int64(d)); return nil }

// Words makes the owner words odd.
func (r *Remote) Words(o Odd, _ *int) error { r.words.be(o); return nil }

// Health is SetHealth.
func (r *Remote) Health(h Health, _ *int) error { r.d.SetHealth(h); return nil }

// Connected is the daemon's.
func (r *Remote) Connected(there bool, _ *int) error { r.d.Connected(there); return nil }

// Status is the daemon's.
func (r *Remote) Status(_ int, s *Status) (err error) {
	*s, err = r.d.Status(context.Background())
	return err
}

// History is the daemon's.
func (r *Remote) History(_ int, h *[]Change) error { *h = r.d.History(); return nil }

// Order is the daemon's.
func (r *Remote) Order(w Wish, _ *int) error {
	return r.d.Order(context.Background(), w.Cluster, w.Order, w.Hold)
}

// Stop ends the daemon.
func (r *Remote) Stop(leave bool, _ *int) error {
	if r.d == nil {
		return errors.New("no daemon")
	}
	r.leave.Store(leave)
	r.cancel()
	return nil
}
