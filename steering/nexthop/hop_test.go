package nexthop

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/loader"
)

var (
	backendA = addr("10.0.0.11")
	backendB = addr("10.0.0.12")
	routerA  = addr("192.0.2.1")
	routerB  = addr("192.0.2.2")
)

// behind builds a resolver with both backends behind router A, which answers.
func behind(t *testing.T, o Options) (*Resolver, *fakeKernel, *fakeTable) {
	t.Helper()
	k, table := newFakeKernel(), newFakeTable()
	k.card(2)
	for _, b := range []netip.Addr{backendA, backendB} {
		k.routes[b] = key{2, routerA}
	}
	for i, router := range []netip.Addr{routerA, routerB} {
		k.answers(key{2, router}, mac(0xaa, i))
	}
	return mustResolver(t, table, o, k, newFakeSource()), k, table
}

func TestSharedNeighbourSharesID(t *testing.T) {
	r, k, table := behind(t, Options{})
	a, b := mustAcquire(t, r, backendA), mustAcquire(t, r, backendB)
	if a == 0 || a != b {
		t.Errorf("ids of two backends behind one router are %d and %d, want one id", a, b)
	}
	want := loader.NextHop{Interface: 2, Source: mac(0xee, 2), Destination: mac(0xaa, 0), MTU: 1500, Ready: true}
	if got := table.entry(a); !same(got, want) {
		t.Errorf("entry = %+v, want %+v", got, want)
	}
	if !k.neigh[key{2, routerA}].managed {
		t.Error("the router's neighbour entry is not managed")
	}
	r.Release(backendA)
	if !table.entry(a).Ready {
		t.Error("the entry went with its first user")
	}
	r.Release(backendB)
	r.Release(backendB) // once too often
	if len(table.entries) != 0 {
		t.Errorf("entries left after the last release: %v", table.entries)
	}
	if k.neigh[key{2, routerA}].managed {
		t.Error("the router's neighbour entry is still managed")
	}
}

func TestAcquireRefuses(t *testing.T) {
	r, k, table := behind(t, Options{})
	k.local[addr("192.0.2.9")] = true
	for _, bad := range []netip.Addr{{}, addr("0.0.0.0"), addr("::"), addr("224.0.0.1"), addr("ff02::1"), addr("fe80::1%eth0")} {
		if id, err := r.Acquire(bad); err == nil {
			t.Errorf("Acquire(%s) = %d, want an error", bad, id)
		}
	}
	_, err := r.Acquire(addr("192.0.2.9"))
	if !errors.Is(err, ErrLocal) || !strings.Contains(err.Error(), "192.0.2.9") {
		t.Errorf("Acquire of a local address = %v, want ErrLocal with the address", err)
	}
	table.err = errors.New("map is gone")
	if _, err := r.Acquire(backendA); err == nil || !strings.Contains(err.Error(), "map is gone") {
		t.Errorf("Acquire with a broken table = %v, want the cause", err)
	}
	table.err = nil
	if len(r.hops) != 0 || len(r.dests) != 0 {
		t.Errorf("refused addresses left %d hops and %d addresses", len(r.hops), len(r.dests))
	}
}

func TestTableFull(t *testing.T) {
	r, k, _ := behind(t, Options{})
	first := netip.MustParseAddr("10.1.0.0")
	a := first
	for range loader.MaxNextHops - 1 {
		k.routes[a] = key{2, a}
		mustAcquire(t, r, a)
		a = a.Next()
	}
	if _, err := r.Acquire(backendA); err == nil || !strings.Contains(err.Error(), "full") {
		t.Fatalf("Acquire into a full table = %v, want an error that says so", err)
	}
	r.Release(first)
	if _, err := r.Acquire(backendA); err != nil {
		t.Errorf("Acquire after a release: %v", err)
	}
}

// An id that was freed must not name another neighbour while a flow still
// remembers it, and is not reused at once either.
func TestFreedIDWaitsForBump(t *testing.T) {
	r, _, table := behind(t, Options{})
	id := mustAcquire(t, r, backendA)
	table.err = errors.New("no")
	r.Release(backendA)
	if !r.ids.inUse[id] {
		t.Error("an id whose entry could not be emptied was given back")
	}
	table.err = nil
	id = mustAcquire(t, r, backendA)
	bumps := table.bumps
	r.Release(backendA)
	if table.bumps != bumps+1 || r.ids.inUse[id] {
		t.Errorf("after a release: %d bumps, in use %v; want 1 and false", table.bumps-bumps, r.ids.inUse[id])
	}
}

func TestNeighbourEvents(t *testing.T) {
	r, k, table := behind(t, Options{})
	at := key{2, routerA}
	id := mustAcquire(t, r, backendA)
	steps := []struct {
		name   string
		event  func() event
		ready  bool
		mac    byte
		reason string
	}{
		{"same again", func() event { return k.answers(at, mac(0xaa, 0)) }, true, 0, ""},
		{"stale", func() event {
			n := k.neigh[at]
			n.state = unix.NUD_STALE
			return event{kind: eventNeighbour, key: at, neighbour: n}
		}, true, 0, ""},
		{"asked again", func() event {
			return event{kind: eventNeighbour, key: at, neighbour: neighbour{state: unix.NUD_INCOMPLETE, managed: true}}
		}, true, 0, ""},
		{"forgotten", func() event { return event{kind: eventNeighbourGone, key: at} }, true, 0, ""},
		{"failed", func() event { return k.silent(at) }, false, 0, "does not answer"},
		{"asked after failing", func() event {
			return event{kind: eventNeighbour, key: at, neighbour: neighbour{state: unix.NUD_INCOMPLETE}}
		}, false, 0, "waiting"},
		{"another MAC", func() event { return k.answers(at, mac(0xaa, 7)) }, true, 7, ""},
		{"somebody else", func() event { return k.silent(key{2, routerB}) }, true, 7, ""},
	}
	for _, step := range steps {
		r.note([]event{step.event()})
		got := table.entry(id)
		if got.Ready != step.ready || got.Destination[5] != step.mac {
			t.Errorf("%s: entry = %+v, want ready %v by MAC …%d", step.name, got, step.ready, step.mac)
		}
		if s := statusOf(t, r, backendA); s.Ready != step.ready || !strings.Contains(s.Reason, step.reason) || (step.reason == "") != (s.Reason == "") {
			t.Errorf("%s: status = %+v, want reason %q", step.name, s, step.reason)
		}
	}
}

// A neighbour that was flushed, or whose mark somebody took, is asked for again.
func TestKeepsAsking(t *testing.T) {
	r, k, _ := behind(t, Options{})
	at := key{2, routerA}
	mustAcquire(t, r, backendA)
	delete(k.neigh, at)
	r.note([]event{{kind: eventNeighbourGone, key: at}})
	if !k.neigh[at].managed {
		t.Error("a flushed neighbour was not asked for again")
	}
	k.poke(at)
	r.note([]event{k.answers(at, mac(0xaa, 0))})
	if !k.neigh[at].managed {
		t.Error("a neighbour that lost its mark did not get it back")
	}
}

func TestStaticNeighbourIsLeftAlone(t *testing.T) {
	r, k, table := behind(t, Options{})
	at := key{2, routerA}
	k.neigh[at] = neighbour{state: unix.NUD_PERMANENT, mac: mac(0xaa, 9)}
	r.neighbours[at] = k.neigh[at]
	id := mustAcquire(t, r, backendA)
	if k.neigh[at].managed || k.pokes[at] != 0 {
		t.Errorf("an administrator's entry was touched: %+v, %d pokes", k.neigh[at], k.pokes[at])
	}
	if s := statusOf(t, r, backendA); s.Kept != KeptStatic || !table.entry(id).Ready {
		t.Errorf("status = %+v, want static and ready", s)
	}
	r.Release(backendA)
	if k.pokes[at] != 0 {
		t.Error("an administrator's entry was touched at release")
	}
}

func TestOldKernelIsProbedFromHere(t *testing.T) {
	r, k, _ := behind(t, Options{})
	k.old = true
	at := key{2, routerA}
	mustAcquire(t, r, backendA)
	if r.managed != unsupported {
		t.Fatalf("support = %d, want unsupported", r.managed)
	}
	r.pokeAll()
	if k.pokes[at] != 1 {
		t.Errorf("%d probes after one round, want 1", k.pokes[at])
	}
	delete(k.neigh, at)
	r.note([]event{{kind: eventNeighbourGone, key: at}})
	if k.pokes[at] != 2 {
		t.Errorf("%d probes after the entry was flushed, want another at once", k.pokes[at])
	}
	if s := statusOf(t, r, backendA); s.Kept != KeptProbed {
		t.Errorf("kept %q, want %q", s.Kept, KeptProbed)
	}
}

// One backend's route moves: it gets another id, and the old one keeps its
// meaning until the members were told. All routes move: nobody is told, the
// entry changes in place.
func TestRouteMoves(t *testing.T) {
	var told []string
	var refuse error
	r, k, table := behind(t, Options{Moved: func(a netip.Addr, id loader.NextHopID) error {
		if refuse == nil {
			told = append(told, fmt.Sprint(a))
		}
		return refuse
	}})
	old := mustAcquire(t, r, backendA)
	mustAcquire(t, r, backendB)

	refuse = errors.New("busy")
	k.routes[backendA] = key{2, routerB}
	r.note([]event{{kind: eventRoute, prefix: netip.PrefixFrom(backendA, 32)}})
	r.settle()
	now := statusOf(t, r, backendA).ID
	if now == old || table.entry(now).Destination[5] != 1 {
		t.Fatalf("backend A has id %d with %+v, want another than %d, to router B", now, table.entry(now), old)
	}
	r.Release(backendB)
	if table.entry(old).Destination[5] != 0 {
		t.Error("the old id lost its meaning before the members were told")
	}
	refuse = nil
	r.settle()
	if !slices.Equal(told, []string{"10.0.0.11"}) {
		t.Errorf("told %v, want backend A once", told)
	}
	if _, there := table.entries[old]; there {
		t.Error("the old id was not freed after the members were told")
	}
	k.routes[backendA] = key{2, routerA}
	r.note([]event{{kind: eventRoute, prefix: netip.MustParsePrefix("0.0.0.0/0")}})
	r.settle()
	if s := statusOf(t, r, backendA); s.ID != now || s.Destination[5] != 0 || len(told) != 1 {
		t.Errorf("sole user: status %+v, told %v; want the same id and nobody told", s, told)
	}
}

// The new router did not answer yet: nothing may go to the old one's MAC.
func TestRouteMovesToUnknownRouter(t *testing.T) {
	r, k, table := behind(t, Options{})
	id := mustAcquire(t, r, backendA)
	bumps := table.bumps
	at := key{2, addr("192.0.2.99")}
	k.routes[backendA] = at
	r.stale.all = true // found without an event
	r.settle()
	if e := table.entry(id); e.Ready || e.Destination != nil {
		t.Errorf("entry = %+v before the new router answered", e)
	}
	if table.bumps == bumps {
		t.Error("flows that remember the id were not told that it leads elsewhere")
	}
	if s := statusOf(t, r, backendA); s.Reason != "waiting for 192.0.2.99 on eth2 to answer" || s.Neighbour != at.addr {
		t.Errorf("status = %+v", s)
	}
	r.note([]event{k.answers(at, mac(0xaa, 3))})
	if e := table.entry(id); !e.Ready || e.Destination[5] != 3 {
		t.Errorf("entry = %+v after the new router answered", e)
	}
}

// A route with another source is told, once, under the id that stays; a route
// that is lost takes no source away.
func TestSourceMoves(t *testing.T) {
	var told []loader.NextHopID
	refuse := errors.New("busy")
	r, k, _ := behind(t, Options{Moved: func(_ netip.Addr, id loader.NextHopID) error {
		if refuse == nil {
			told = append(told, id)
		}
		return refuse
	}})
	first, second := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	k.sources[backendA] = first
	id := mustAcquire(t, r, backendA)
	settle := func(want netip.Addr, times int) {
		t.Helper()
		r.stale.all = true
		r.settle()
		if got := r.Source(backendA); got != want || len(told) != times {
			t.Errorf("source is %s, told %v; want %s, told %d times", got, told, want, times)
		}
	}
	settle(first, 0)
	k.sources[backendA] = second
	settle(second, 0)
	refuse = nil
	settle(second, 1)
	settle(second, 1)
	clear(k.routes)
	settle(second, 1)
	if told[0] != id {
		t.Errorf("told id %d, want %d", told[0], id)
	}
	if got := r.Source(backendB); got.IsValid() {
		t.Errorf("an address that nobody acquired has source %s", got)
	}
}

// Who asked for a neighbour is told when its MAC changes, under the id that
// stays; a router in between is nobody's neighbour, and one that is silent keeps
// its MAC.
func TestNeighbourIsTold(t *testing.T) {
	var told []netip.Addr
	refuse := errors.New("busy")
	r, k, _ := behind(t, Options{Moved: func(a netip.Addr, _ loader.NextHopID) error {
		if refuse == nil {
			told = append(told, a)
		}
		return refuse
	}})
	own := key{2, backendA}
	k.routes[backendA] = own
	mustAcquire(t, r, backendA)
	mustAcquire(t, r, backendB)
	want := func(when string, mac net.HardwareAddr, times int) {
		t.Helper()
		r.settle()
		if got := r.Neighbour(backendA); !bytes.Equal(got, mac) || len(told) != times {
			t.Errorf("%s: neighbour %v, told %v; want %v, told %d times", when, got, told, mac, times)
		}
	}
	if got := r.Neighbour(backendB); got != nil {
		t.Errorf("behind a router is the neighbour %v", got)
	}
	if got := r.Neighbour(routerA); got != nil {
		t.Errorf("an address that nobody acquired has the neighbour %v", got)
	}
	want("before it answers", nil, 0)
	if !r.note([]event{k.answers(own, mac(0xaa, 5))}) {
		t.Error("an answer calls for nothing")
	}
	want("refused", mac(0xaa, 5), 0)
	refuse = nil
	want("it answered", mac(0xaa, 5), 1)
	if r.note([]event{k.answers(own, mac(0xaa, 5))}) {
		t.Error("the same answer calls for something")
	}
	r.note([]event{k.silent(own)})
	want("silent", mac(0xaa, 5), 1)
	r.note([]event{k.answers(own, mac(0xaa, 6))})
	want("another card", mac(0xaa, 6), 2)
	k.routes[backendA] = key{2, routerB}
	r.stale.all = true
	want("behind a router", nil, 3)
	r.Release(backendA)
	r.stale.all = true
	r.settle()
	if len(told) != 3 || told[0] != backendA {
		t.Errorf("told %v, want backend A three times", told)
	}
}

// Moved may release the very address it is told of.
func TestMovedReleases(t *testing.T) {
	var r *Resolver
	r, k, table := behind(t, Options{Moved: func(a netip.Addr, _ loader.NextHopID) error {
		r.Release(a)
		return nil
	}})
	mustAcquire(t, r, backendA)
	b := mustAcquire(t, r, backendB)
	k.routes[backendA] = key{2, routerB}
	r.stale.all = true
	r.settle()
	if !table.entry(b).Ready || len(table.entries) != 1 {
		t.Errorf("table = %v, want backend B's entry alone", table.entries)
	}
}

func TestReleaseWhileMoving(t *testing.T) {
	r, k, table := behind(t, Options{Moved: func(netip.Addr, loader.NextHopID) error { return errors.New("busy") }})
	mustAcquire(t, r, backendA)
	mustAcquire(t, r, backendB)
	for _, router := range []netip.Addr{routerB, routerA, routerB} {
		k.routes[backendA] = key{2, router}
		r.stale.all = true
		r.settle()
	}
	r.Release(backendA)
	r.Release(backendB)
	if len(table.entries) != 0 || len(r.hops) != 0 {
		t.Errorf("left after all was released: %v, %d hops", table.entries, len(r.hops))
	}
}

// A link that flaps takes the routes along; no id may move for it.
func TestLinkFlapKeepsIDs(t *testing.T) {
	moved := 0
	r, k, table := behind(t, Options{Moved: func(netip.Addr, loader.NextHopID) error { moved++; return nil }})
	a := mustAcquire(t, r, backendA)
	mustAcquire(t, r, backendB)

	down := k.ifaces[2]
	down.up = false
	k.ifaces[2] = down
	clear(k.routes)
	r.note([]event{{kind: eventLink, link: 2}})
	r.settle()
	if s := statusOf(t, r, backendA); s.Ready || s.Reason != "no route" || table.entry(a).Ready {
		t.Errorf("link down: %+v, entry %+v; want not ready for want of a route", s, table.entry(a))
	}
	down.up = true
	k.ifaces[2] = down
	k.routes[backendA] = key{2, routerA} // B's route does not come back
	r.note([]event{{kind: eventLink, link: 2}})
	r.settle()
	r.note([]event{k.answers(key{2, routerA}, mac(0xaa, 0))})
	r.settle()
	if s := statusOf(t, r, backendA); !s.Ready || s.ID != a {
		t.Errorf("link up: %+v, want ready under id %d", s, a)
	}
	if s := statusOf(t, r, backendB); s.Ready || s.ID == a || moved != 1 {
		t.Errorf("backend without route: %+v, %d moved; want it away from the living entry", s, moved)
	}
}

func TestBackendBecomesLocal(t *testing.T) {
	r, k, table := behind(t, Options{})
	id := mustAcquire(t, r, backendA)
	k.local[backendA] = true
	r.note([]event{{kind: eventAddress, prefix: netip.PrefixFrom(backendA, 24)}})
	r.settle()
	if s := statusOf(t, r, backendA); s.Ready || !strings.Contains(s.Reason, "address of this node") || table.entry(id).Ready {
		t.Errorf("status = %+v, want not ready because the address is local", s)
	}
}

func TestUnrelatedChangesCostNothing(t *testing.T) {
	r, k, table := behind(t, Options{})
	mustAcquire(t, r, backendA)
	looks, writes := k.looks, table.writes
	if r.note([]event{{kind: eventLink, link: 77}, {kind: eventAddress, prefix: netip.MustParsePrefix("10.9.9.9/8")}}) {
		t.Error("a strange link and address made something stale")
	}
	r.note([]event{{kind: eventRoute, prefix: netip.MustParsePrefix("10.9.0.0/16")}})
	r.settle()
	if k.looks != looks || table.writes != writes || table.bumps != 1 {
		t.Errorf("%d look-ups, %d writes, %d bumps; want 0, 0 and 1 (a client may be there)", k.looks-looks, table.writes-writes, table.bumps)
	}
}
