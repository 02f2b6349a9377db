package steering

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"sluice/loader"
	"sluice/steering/disk"
)

// started is a rig whose Table runs, on the bubble's clock.
func started(t *testing.T, test func(r *rig)) {
	dir := t.TempDir() // outlives the bubble
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		r := newRig(t)
		r.opt.monotonic = func() time.Duration { return time.Since(begin) + r.clock.monotonic() }
		r.opt.now, r.opt.DataDir = time.Now, dir
		r.restart()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.table.Run(ctx) }()
		test(r)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
		close(r.dp.closed)
		synctest.Wait()
	})
}

func TestRunFollowsHealth(t *testing.T) {
	started(t, func(r *rig) {
		r.apply(serving("b1", "b2"))
		r.checker.results <- CheckResult{CheckID: CheckID{Backend: backendAddr("b1")}, Up: true}
		synctest.Wait()
		r.wantTakers(vip, "b1")
		// A verdict that could not be applied is not lost.
		r.table.mu.Lock()
		r.table.unsure = true
		r.table.mu.Unlock()
		r.dp.failing(func(string) error { return errInjected })
		r.checker.results <- CheckResult{CheckID: CheckID{Backend: backendAddr("b2")}, Up: true}
		synctest.Wait()
		r.wantTakers(vip, "b1")
		r.dp.failing(nil)
		time.Sleep(2 * retryPeriod)
		synctest.Wait()
		r.wantTakers(vip, "b1", "b2")
	})
}

func TestRunEndsDrains(t *testing.T) {
	started(t, func(r *rig) {
		r.apply(serving("b1", "b2"))
		r.allUp()
		client := r.flowTo(vip, "b1")
		r.drain(named("b1"), DrainOptions{Deadline: time.Minute})
		time.Sleep(time.Minute - time.Second)
		r.lives(client, vip, "b1")
		time.Sleep(5 * time.Second)
		r.wantState("b1", StateDisabled)
		if _, ok := r.dp.data(client, vip); ok {
			t.Error("the flow lives on")
		}
	})
}

func TestRunSweepsAndReaps(t *testing.T) {
	started(t, func(r *rig) {
		r.apply(serving("b1"))
		time.Sleep(35 * time.Second)
		synctest.Wait()
		r.dp.mu.Lock()
		scans := r.dp.scans
		r.dp.mu.Unlock()
		// One by each New, which the settings found fresh, then each ten seconds.
		if scans != 5 {
			t.Errorf("%d sweeps in 35 s", scans)
		}
		r.apply(serving("b2"))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		r.wantRecords("after two minutes", map[string]int{"b2": 1})
	})
}

func TestRunWritesCountersDown(t *testing.T) {
	var r *rig
	started(t, func(started *rig) {
		r = started
		r.apply(serving("b1"))
		r.allUp()
		r.flow(vip)
	})
	l := newLedger()
	if err := disk.Load(r.opt.DataDir, ledgerFile, &l); err != nil {
		t.Fatal(err)
	}
	if got := l.Members.Carried[memberKey{vip, backendAddr("b1")}].FlowsOpened; got != 1 {
		t.Errorf("%d flows are written down, 1 was opened", got)
	}
}

func TestRunPassesEventsOn(t *testing.T) {
	started(t, func(r *rig) {
		r.apply(serving("b1"))
		s := r.table.Subscribe(10)
		defer s.Close()
		r.dp.events <- loader.Event{Kind: loader.EventNeighbour, Client: addrPort("10.0.0.99:0"), Interface: 3}
		r.dp.events <- loader.Event{Kind: loader.EventEstablished, Service: 1, Member: 1, Client: r.client()}
		synctest.Wait()
		if got := received(s); len(got) != 1 || got[0].Backend != "b1" {
			t.Errorf("events are %+v", got)
		}
		r.resolver.mu.Lock()
		defer r.resolver.mu.Unlock()
		if len(r.resolver.wanted) != 1 || r.resolver.wanted[0] != netip.MustParseAddr("10.0.0.99") {
			t.Errorf("neighbours %v are wanted", r.resolver.wanted)
		}
	})
}

func TestRunGoesOnWhereADrainCannotBeFollowed(t *testing.T) {
	started(t, func(r *rig) {
		r.apply(serving("b1", "b2"))
		r.allUp()
		r.drain(named("b1"), DrainOptions{})
		r.dp.failing(func(call string) error {
			if call == "MemberCounters " {
				return errInjected
			}
			return nil
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		r.dp.failing(nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		r.wantState("b1", StateDisabled)
	})
}

// brokenEvents is a dataplane whose ring buffer cannot be read.
type brokenEvents struct{ *fakeDataplane }

func (brokenEvents) ReadEvent() (loader.Event, error) { return loader.Event{}, errInjected }

func TestRunEndsWithAFault(t *testing.T) {
	r := newRig(t)
	table, err := New(brokenEvents{r.dp}, r.opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Run(context.Background()); !errors.Is(err, errInjected) {
		t.Errorf("Run returned %v", err)
	}
	if _, err := os.Stat(filepath.Join(r.opt.DataDir, ledgerFile)); err != nil {
		t.Errorf("the counters were not written down: %v", err)
	}
}
