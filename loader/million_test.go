package loader_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/loader"
)

// million is how many flows a node must hold. Without SLUICE_TEST_FULL the test
// makes do with a tenth, in a table of a tenth of the size.
func million() int {
	if os.Getenv("SLUICE_TEST_FULL") != "" {
		return 1_000_000
	}
	return 100_000
}

// longestCall is what the design allows one call of a sweep to hold a CPU.
const longestCall = 5 * time.Millisecond

// TestMillionFlows fills the table and looks at it as the node does, while a
// connection talks through the same table.
func TestMillionFlows(t *testing.T) {
	for name, s := range map[string]loader.Service{
		"dsr": shapes()["dsr v4"],
		"nat": withPool(shapes()["hide v4"], loader.MaxPool),
	} {
		t.Run(name, func(t *testing.T) {
			count := million()
			g := newGateway(t, s, func(p *plan) {
				p.MaxFlows = count * 105 / 100
				p.Lifetimes = loader.Lifetimes{Established: time.Hour, Young: tick, Closed: tick}
			})
			// A search for a port gives up when the pool is nearly full; here
			// it is a third full at most.
			must(t, g.dp.SetPorts(1024, 65535, 1, 0))
			talk := startTalk(t, g)
			took := timed(func() { g.fill(t, count) })
			t.Logf("%d flows made in %s", count, took)

			watch := &stopwatch{}
			g.dp.Around(watch.around)
			found := lookAtAll(t, g, talk, count)
			took = timed(func() {
				if n, err := g.dp.Expire(t.Context()); err != nil || n != 0 {
					t.Errorf("a pass over living flows freed %d (%v)", n, err)
				}
			})
			watch.report(t, "pass over the living", took)
			talk.wantFlowing(t)

			// The next process lets everything die that does not talk.
			must(t, g.dp.Close())
			g.opts.Lifetimes = loader.Lifetimes{Established: 2 * tick, Embryo: tick, Young: tick, Closed: tick, HalfClosed: tick}
			g.open(t)
			g.dp.Around(watch.around)
			letDie(t, g, watch, found)
			talk.wantFlowing(t)
		})
	}
}

func withPool(s loader.Service, n int) loader.Service {
	s.Pool = sequence(n)
	return s
}

func timed(fn func()) time.Duration {
	start := time.Now()
	fn()
	return time.Since(start)
}

// fill makes flows on every CPU. In dsr each is proven by data a tick later,
// as long as it is among the last to be made: then it never gives way.
func (g *gateway) fill(t *testing.T, count int) {
	t.Helper()
	workers := runtime.NumCPU()
	errs := make([]error, workers)
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			errs[w] = g.fillInside(func(f *filler) error {
				return f.fill(w*count/workers, (w+1)*count/workers)
			})
		})
	}
	group.Wait()
	for _, err := range errs {
		must(t, err)
	}
}

// chunk is how many flows wait for their proof at a time.
const chunk = 50_000

func (f *filler) fill(from, to int) error {
	for at := from; at < to; at += chunk {
		end := min(at+chunk, to)
		err := f.each(end-at, func(i int) error { return f.establish(at + i) })
		if err != nil {
			return err
		}
		if f.g.service.Mode != loader.ModeDSR {
			continue
		}
		if err := f.waitTick(); err != nil {
			return err
		}
		if err := f.each(end-at, func(i int) error { return f.talk(at + i) }); err != nil {
			return err
		}
	}
	return nil
}

// lookAtAll scans the table: every flow is there or counted as unprotected, and
// the process does not grow beyond the window it reads through.
func lookAtAll(t *testing.T, g *gateway, talk *talk, count int) (found int) {
	t.Helper()
	const window, slack = 4 << 20, 1 << 20
	start, peak, outside := mapped(t), 0, 0
	took := timed(func() {
		must(t, g.dp.Scan(t.Context(), func(f loader.Flow) bool {
			if f.State != loader.FlowEstablished {
				return true
			}
			found++
			if f.Line == loader.NoLine {
				outside++
			}
			if found%10_000 == 0 {
				peak = max(peak, mapped(t)-start)
			}
			return true
		}))
	})
	services, err := g.dp.ServiceCounters()
	must(t, err)
	without := int(services[testService].FlowsUnprotected)
	t.Logf("%d flows (%d outside the lines, %d unprotected) scanned in %s, %d KiB mapped at most", found, outside, without, took, peak>>10)
	if talk.established {
		count++
	}
	if found+without != count || found < count*99/100 {
		t.Errorf("%d flows are established and %d unprotected, %d were made", found, without, count)
	}
	if peak > window+slack {
		t.Errorf("the process grew by %d KiB, the window is %d KiB", peak>>10, window>>10)
	}
	return found
}

// letDie waits until all flows but the one that talks are past their lifetime
// and freed.
func letDie(t *testing.T, g *gateway, watch *stopwatch, found int) {
	t.Helper()
	removed, passes := 0, 0
	want := found - 1
	if g.service.Mode == loader.ModeNAT {
		want *= 2
	}
	took := timed(func() {
		inTicks(t, fmt.Sprintf("%d entries expire", want), func() bool {
			n, err := g.dp.Expire(t.Context())
			must(t, err)
			removed, passes = removed+n, passes+1
			return removed >= want
		})
	})
	watch.report(t, fmt.Sprintf("%d passes that freed %d entries", passes, removed), took)
	left := 0
	must(t, g.dp.Scan(t.Context(), func(loader.Flow) bool { left++; return true }))
	if left != 1 {
		t.Errorf("%d flows are left, one talks", left)
	}
	counters, err := g.dp.MemberCounters()
	must(t, err)
	var open uint64
	for _, c := range counters {
		open += c.FlowsOpened - c.FlowsClosed
	}
	if open != 1 {
		t.Errorf("%d flows are counted as open, one is", open)
	}
}

// mapped is how much memory of this process is not its own, in bytes: files,
// and maps of the kernel that it has looked at.
func mapped(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	must(t, err)
	sum := 0
	for line := range bytes.Lines(status) {
		name, rest, _ := bytes.Cut(line, []byte(":"))
		if string(name) == "RssFile" || string(name) == "RssShmem" {
			kib, err := strconv.Atoi(string(bytes.Fields(rest)[0]))
			must(t, err)
			sum += kib << 10
		}
	}
	return sum
}

// stopwatch knows the longest call. It reads the thread's CPU time: what other
// processes take of the CPU meanwhile is not the call's doing.
type stopwatch struct {
	calls   int
	longest time.Duration
}

func (s *stopwatch) around(call func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := threadTime()
	err := call()
	s.calls++
	s.longest = max(s.longest, threadTime()-start)
	return err
}

func threadTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}

// report logs and starts anew.
func (s *stopwatch) report(t *testing.T, what string, took time.Duration) {
	t.Helper()
	t.Logf("%s: %s, %d calls, longest %s", what, took, s.calls, s.longest)
	if s.longest > longestCall {
		t.Errorf("a call of %s held a CPU for %s, at most %s is allowed", what, s.longest, longestCall)
	}
	*s = stopwatch{}
}

// talk is one connection that never stops sending and receiving.
type talk struct {
	// established says that the entry has this state, of those that are made
	// from one side's packets only when they are proven.
	established bool
	rounds      atomic.Int64
	longest     atomic.Int64
}

func startTalk(t *testing.T, g *gateway) *talk {
	t.Helper()
	c, _ := g.dial(t)
	k := &talk{}
	eventually(t, "the connection is proven", func() bool {
		must(t, exchange(c, 100))
		f, ok := find(t, g.dp, client(c))
		k.established = ok && f.State == loader.FlowEstablished
		return k.established
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.run(ctx, c) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the connection that talks: %v", err)
		}
	})
	return k
}

func (k *talk) run(ctx context.Context, c net.Conn) error {
	// Not without a pause: it would take the CPU that is measured.
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for ; ctx.Err() == nil; <-pause.C {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		start := time.Now()
		if err := exchange(c, 100); err != nil {
			return err
		}
		k.longest.Store(max(k.longest.Load(), int64(time.Since(start))))
		k.rounds.Add(1)
	}
	return nil
}

// wantFlowing fails the test if the connection stood still since it was asked
// last.
func (k *talk) wantFlowing(t *testing.T) {
	t.Helper()
	rounds, longest := k.rounds.Swap(0), time.Duration(k.longest.Swap(0))
	t.Logf("%d rounds meanwhile, the longest took %s", rounds, longest)
	if rounds == 0 || longest > time.Second {
		t.Errorf("traffic stalled: %d rounds, the longest took %s", rounds, longest)
	}
}
