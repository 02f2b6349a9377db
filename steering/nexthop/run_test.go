package nexthop

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// running starts Run in the bubble of a synctest and returns how to end it.
func running(r *Resolver) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

func TestRunGathersChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k, table := behind(t, Options{})
		source := r.source.(*fakeSource)
		id := mustAcquire(t, r, backendA)
		stop := running(r)

		looks := k.looks
		k.routes[backendA] = key{2, routerB}
		for range 20 {
			source.events <- []event{{kind: eventRoute, prefix: netip.PrefixFrom(backendA, 32)}}
		}
		// The loop has started its clock with the first event.
		time.Sleep(settlePause)
		synctest.Wait()
		if got := table.entry(id).Destination; k.looks-looks != 1 || got[5] != 1 || table.bumps != 1 {
			t.Errorf("20 events at once: %d look-ups, %d bumps, to %s; want 1, 1, router B", k.looks-looks, table.bumps, got)
		}
		// A stream of events is followed at the settled pace.
		looks = k.looks
		for range 100 {
			source.events <- []event{{kind: eventRoute, prefix: netip.PrefixFrom(backendA, 32)}}
			time.Sleep(20 * time.Millisecond)
		}
		synctest.Wait()
		if n := k.looks - looks; n < 3 || n > 5 {
			t.Errorf("%d look-ups in two seconds of changes, want one each half second", n)
		}
		if err := stop(); err != nil {
			t.Errorf("Run ended with %v, want nil", err)
		}
	})
}

func TestRunMakesUpForLostEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k, table := behind(t, Options{})
		source := r.source.(*fakeSource)
		id := mustAcquire(t, r, backendA)
		stop := running(r)
		defer stop()

		k.answers(key{2, routerA}, mac(0xaa, 5))
		source.events <- []event{{kind: eventLost}}
		time.Sleep(settlePause)
		synctest.Wait()
		if got := table.entry(id).Destination; got[5] != 5 {
			t.Errorf("after lost events the MAC is %s, want the new one", got)
		}
		// And where nothing tells that something was lost, within half a minute.
		k.silent(key{2, routerA})
		time.Sleep(rereadTicks * tick)
		synctest.Wait()
		if table.entry(id).Ready {
			t.Error("a silent loss was not noticed within 30 s")
		}
	})
}

func TestRunProbesOnOldKernels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k, _ := behind(t, Options{})
		k.old = true
		mustAcquire(t, r, backendA)
		stop := running(r)
		time.Sleep(time.Minute + time.Second)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if n := k.pokes[key{2, routerA}]; n != 6 {
			t.Errorf("%d probes in a minute, want 6", n)
		}
	})
}

func TestRunEndsWithItsSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := behind(t, Options{})
		done := make(chan error, 1)
		go func() { done <- r.Run(t.Context()) }()
		r.source.(*fakeSource).broken <- errors.New("socket broke")
		if err := <-done; err == nil || !strings.Contains(err.Error(), "socket broke") {
			t.Errorf("Run = %v, want the cause", err)
		}
	})
}

func TestWantedAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k, table := behind(t, Options{})
		source := r.source.(*fakeSource)
		stop := running(r)
		defer stop()

		client := addr("192.0.2.77")
		at := key{2, client}
		r.Want(client, 2)
		synctest.Wait()
		source.events <- []event{k.answers(at, mac(0xcc, 1))}
		synctest.Wait()
		s := statusOf(t, r, client)
		if !s.Ready || !s.Wanted || !table.entry(s.ID).Ready || !k.neigh[at].managed {
			t.Fatalf("status = %+v, managed %v; want it wanted, ready and managed", s, k.neigh[at].managed)
		}
		time.Sleep(wantedFor - tick)
		r.Want(client, 2)
		time.Sleep(wantedFor - tick)
		synctest.Wait()
		if len(r.Snapshot()) != 1 {
			t.Error("a client was forgotten although it was wanted again")
		}
		time.Sleep(2 * tick)
		synctest.Wait()
		if left := r.Snapshot(); len(left) != 0 || len(table.entries) != 0 || k.neigh[at].managed {
			t.Errorf("left of a client nobody wanted for long: %+v, %v", left, table.entries)
		}
	})
}

func TestWantIsBounded(t *testing.T) {
	r, k, table := behind(t, Options{})
	for _, useless := range []netip.Addr{{}, addr("0.0.0.0"), addr("224.0.0.1"), addr("127.0.0.1"), addr("::1")} {
		r.Want(useless, 2)
	}
	r.Want(routerA, 0)
	if len(r.wants) != 0 {
		t.Errorf("%d requests queued for addresses nobody can have", len(r.wants))
	}
	for range wantQueue + 10 {
		r.Want(routerA, 2) // must not block although nobody reads
	}
	r.admit(key{99, routerA})
	if r.wanted.order.Len() != 0 {
		t.Error("a neighbour on an unknown interface was admitted")
	}

	// A flood of invented addresses waits for no more than maxPending.
	invented := addr("10.64.0.0")
	for range 10 * maxPending {
		invented = invented.Next()
		r.admit(key{2, invented})
	}
	if n := r.wanted.order.Len(); n != maxPending {
		t.Errorf("%d neighbours are asked for, want %d", n, maxPending)
	}
	for at := range r.wanted.at {
		r.note([]event{k.silent(at)})
	}
	if n := r.wanted.order.Len(); n != 0 || len(table.entries) != 0 {
		t.Errorf("%d neighbours that do not answer are kept, %d entries", n, len(table.entries))
	}

	// Those that answer are kept up to maxWanted, the latest first.
	first, last := addr("10.65.0.0"), addr("10.65.0.0")
	r.admit(key{2, first.Next()})
	longest := r.hops[key{2, first.Next()}]
	for range maxWanted + 5 {
		last = last.Next()
		r.admit(key{2, last})
		r.note([]event{k.answers(key{2, last}, mac(0xcc, 1))})
		r.admit(key{2, first.Next()}) // stays in use
	}
	if n := r.wanted.order.Len(); n != maxWanted {
		t.Errorf("%d neighbours are kept, want %d", n, maxWanted)
	}
	if r.hops[key{2, first.Next()}] != longest {
		t.Error("a neighbour that is wanted all the time was dropped in between")
	}
	for _, a := range []netip.Addr{first.Next(), last} {
		if r.wanted.at[key{2, a}] == nil {
			t.Errorf("%s was dropped although it was wanted lately", a)
		}
	}
}

// A backend that packets asked for, too, keeps its id when it is no longer
// wanted, and the other way round.
func TestWantedAndAcquired(t *testing.T) {
	r, k, table := behind(t, Options{})
	k.routes[routerA] = key{2, routerA}
	id := mustAcquire(t, r, routerA)
	r.admit(key{2, routerA})
	if n := len(r.Snapshot()); n != 2 {
		t.Errorf("%d lines in the snapshot, want one acquired and one wanted", n)
	}
	r.unwant(key{2, routerA})
	if !table.entry(id).Ready {
		t.Error("the entry of an acquired router went when it was no longer wanted")
	}
	r.admit(key{2, routerA})
	r.Release(routerA)
	if !table.entry(id).Ready {
		t.Error("the entry of a wanted router went with its last Release")
	}
	r.note([]event{{kind: eventNeighbour, key: key{2, routerA}, neighbour: neighbour{state: unix.NUD_FAILED}}})
	if len(table.entries) != 0 {
		t.Error("a wanted router that fails was kept")
	}
}
