package loader_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"sluice/loader"
)

// swaps is how often the program is replaced.
const swaps = 100

// restarts is how often besides a process ends and another opens, which the
// verifier makes slow: as often only with SLUICE_TEST_FULL.
func restarts() int {
	if os.Getenv("SLUICE_TEST_FULL") != "" {
		return swaps
	}
	return 3
}

// The program is replaced while connections live, move bytes
// and are made: none is lost and no counter goes back.
func TestSwapUnderTraffic(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"hide v4", "dsr v6"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Nobody sweeps, and on a busy machine many connections come and go.
			g := newGateway(t, shapes()[name], func(p *plan) { p.MaxFlows = 1 << 17 })
			load := startLoad(t, g, 3)
			watch := &ratchet{}
			watch.look(t, g.dp)

			twin, err := g.twin()
			must(t, err)
			for i := range swaps {
				program := g.dp
				if i%2 == 0 {
					program = twin
				}
				must(t, g.GW.Do(func() error { return program.Attach(g.opts) }))
				if i%4 == 0 {
					load.waitFor(t, 1)
					watch.look(t, g.dp)
				}
			}
			must(t, twin.CloseTwin())
			for range restarts() {
				must(t, g.dp.Close())
				g.open(t)
				load.waitFor(t, 1)
				watch.look(t, g.dp)
			}
			load.stop(t)
			watch.look(t, g.dp)
			wantNoDrops(t, g.dp)
		})
	}
}

func (g *gateway) twin() (twin *loader.Dataplane, err error) {
	err = g.GW.Do(func() error {
		twin, err = g.dp.Twin(g.opts)
		return err
	})
	return twin, err
}

// load is connections through the service that send and receive without end,
// and one after the other that is made, used once and closed.
type load struct {
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu     sync.Mutex
	change *sync.Cond
	rounds []int
	err    error
}

func startLoad(t *testing.T, g *gateway, conns int) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel, rounds: make([]int, conns+1)}
	l.change = sync.NewCond(&l.mu)
	t.Cleanup(func() {
		cancel()
		l.tasks.Wait()
	})
	for i := range conns {
		c, _ := g.dial(t)
		l.tasks.Go(func() {
			l.run(ctx, i, func() error {
				return errors.Join(c.SetDeadline(time.Now().Add(patience)), exchange(c, 3000))
			})
		})
	}
	l.tasks.Go(func() {
		l.run(ctx, conns, func() error {
			c, err := g.Client.Dial(ctx, g.listen)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
				return err
			}
			if _, err := c.Read(make([]byte, bannerLen)); err != nil {
				return err
			}
			return exchange(c, 100)
		})
	})
	return l
}

// run repeats a round until ctx ends.
func (l *load) run(ctx context.Context, i int, round func() error) {
	for ctx.Err() == nil {
		err := round()
		l.mu.Lock()
		if err == nil {
			l.rounds[i]++
		} else if l.err == nil && ctx.Err() == nil {
			l.err = fmt.Errorf("connection %d, round %d: %v", i, l.rounds[i]+1, err)
		}
		failed := l.err != nil
		l.change.Broadcast()
		l.mu.Unlock()
		if failed {
			return
		}
	}
}

// waitFor returns when every connection has done n more rounds.
func (l *load) waitFor(t *testing.T, n int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	start := append([]int(nil), l.rounds...)
	done := func() bool {
		for i := range start {
			if l.rounds[i] < start[i]+n {
				return false
			}
		}
		return true
	}
	for l.err == nil && !done() {
		l.change.Wait()
	}
	if l.err != nil {
		t.Fatal(l.err)
	}
}

// stop ends the connections; it fails the test if one was lost.
func (l *load) stop(t *testing.T) {
	t.Helper()
	l.cancel()
	l.tasks.Wait()
	must(t, l.err)
}

// ratchet fails the test when a counter is less than it was.
type ratchet struct {
	members  map[loader.MemberID]loader.MemberCounters
	services map[loader.ServiceID]loader.ServiceCounters
}

func (r *ratchet) look(t *testing.T, dp *loader.Dataplane) {
	t.Helper()
	members, err := dp.MemberCounters()
	must(t, err)
	services, err := dp.ServiceCounters()
	must(t, err)
	for id, was := range r.members {
		is := members[id]
		if is.PacketsIn < was.PacketsIn || is.BytesIn < was.BytesIn || is.PacketsOut < was.PacketsOut ||
			is.BytesOut < was.BytesOut || is.FlowsOpened < was.FlowsOpened || is.FlowsClosed < was.FlowsClosed || is.SYNs < was.SYNs {
			t.Fatalf("counters of member %d went from %+v to %+v", id, was, is)
		}
	}
	for id, was := range r.services {
		if is := services[id]; is.PacketsIn < was.PacketsIn || is.BytesIn < was.BytesIn || is.SYNs < was.SYNs {
			t.Fatalf("counters of service %d went from %+v to %+v", id, was, is)
		}
	}
	r.members, r.services = members, services
}

func wantNoDrops(t *testing.T, dp *loader.Dataplane) {
	t.Helper()
	drops, err := dp.Drops()
	must(t, err)
	for _, d := range drops {
		if d.Packets > 0 {
			t.Errorf("%d packets dropped as %s", d.Packets, d.Reason)
		}
	}
}
