package nexthop

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"sluice/loader"
)

func TestAdoption(t *testing.T) {
	entry := loader.NextHop{Interface: 2, Source: mac(0xee, 2), Destination: mac(0xaa, 0), MTU: 1500, Ready: true}
	tests := []struct {
		name    string
		current loader.NextHopID
		prepare func(*fakeKernel)
		keeps   bool
	}{
		{"nothing changed", 7, func(*fakeKernel) {}, true},
		{"neighbour forgotten meanwhile", 7, func(k *fakeKernel) { delete(k.neigh, key{2, routerA}) }, true},
		{"no route just now", 7, func(k *fakeKernel) { clear(k.routes) }, true},
		{"behind another router now", 7, func(k *fakeKernel) { k.routes[backendA] = key{2, routerB} }, false},
		{"by another interface now", 7, func(k *fakeKernel) { k.card(3); k.routes[backendA] = key{3, routerA} }, false},
		{"interface gone", 7, func(k *fakeKernel) { delete(k.ifaces, 2) }, false},
		{"entry never ready", 8, func(*fakeKernel) {}, false},
		{"no id", 0, func(*fakeKernel) {}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, k, table := behind(t, Options{})
			table.entries[7] = entry
			table.name(backendA, test.current)
			test.prepare(k)
			r := mustResolver(t, table, Options{}, k, newFakeSource())
			writes := table.writes
			id := mustAcquire(t, r, backendA)
			if (id == 7) != test.keeps {
				t.Errorf("id = %d, kept %v; want kept %v", id, id == 7, test.keeps)
			}
			if test.keeps && len(k.routes) > 0 && table.writes != writes {
				t.Errorf("an entry that was true was written: %+v", table.entry(7))
			}
			if !test.keeps && !same(table.entry(7), entry) {
				t.Errorf("the old entry changed before Settle: %+v", table.entry(7))
			}
			if err := r.Settle(); err != nil {
				t.Fatal(err)
			}
			if id != test.current && r.ids.inUse[test.current] {
				t.Errorf("id %d is still in use after Settle", test.current)
			}
			if _, there := table.entries[7]; there != test.keeps {
				t.Errorf("after Settle entry 7 is there: %v, want %v", there, test.keeps)
			}
		})
	}
}

// world is a resolver with members that name ids, for random sequences.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	r       *Resolver
	k       *fakeKernel
	table   *fakeTable
	members map[netip.Addr]loader.NextHopID // what the member records say
	refs    map[netip.Addr]int
	busy    bool
}

func (w *world) backend() netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(w.rng.IntN(12))}) }

func (w *world) key() key {
	return key{2 + w.rng.IntN(2), netip.AddrFrom4([4]byte{192, 0, 2, byte(w.rng.IntN(4))})}
}

func (w *world) options() Options {
	return Options{Moved: func(a netip.Addr, id loader.NextHopID) error {
		if w.busy {
			return fmt.Errorf("busy")
		}
		if _, ok := w.members[a]; ok {
			w.members[a] = id
		}
		return nil
	}}
}

func (w *world) step() string {
	switch a, at := w.backend(), w.key(); w.rng.IntN(12) {
	case 0, 1, 2:
		w.members[a] = mustAcquire(w.t, w.r, a)
		w.refs[a]++
		return fmt.Sprint("acquire ", a)
	case 3:
		if w.refs[a] > 0 {
			if w.refs[a]--; w.refs[a] == 0 {
				delete(w.members, a)
			}
			w.r.Release(a)
		}
		return fmt.Sprint("release ", a)
	case 4, 5:
		w.k.routes[a] = at
		w.r.note([]event{{kind: eventRoute, prefix: netip.PrefixFrom(a, 32)}})
		return fmt.Sprint("route ", a, " by ", at)
	case 6:
		delete(w.k.routes, a)
		w.r.note([]event{{kind: eventRoute, prefix: netip.PrefixFrom(a, 32)}})
		return fmt.Sprint("unroute ", a)
	case 7:
		w.r.note([]event{w.k.answers(at, mac(0xaa, w.rng.IntN(9)))})
		return fmt.Sprint("answers ", at)
	case 8:
		w.r.note([]event{w.k.silent(at)})
		return fmt.Sprint("silent ", at)
	case 9:
		l := w.k.ifaces[at.link]
		l.up = !l.up
		w.k.ifaces[at.link] = l
		w.r.note([]event{{kind: eventLink, link: at.link}})
		return fmt.Sprint("link ", at.link, " up ", l.up)
	case 10:
		w.r.admit(at)
		w.busy = w.rng.IntN(3) == 0
		return fmt.Sprint("want ", at)
	}
	w.restart()
	return "restart"
}

// restart makes a new resolver from what the table and the members hold.
func (w *world) restart() {
	w.table.members = make(map[loader.MemberID]loader.Member)
	for a, id := range w.members {
		w.table.members[loader.MemberID(len(w.table.members)+1)] = loader.Member{Addr: netip.AddrPortFrom(a, 22), NextHop: id}
	}
	w.r = mustResolver(w.t, w.table, w.options(), w.k, newFakeSource())
	for a := range w.members {
		for range w.refs[a] {
			before, _ := w.table.NextHops()
			now := mustAcquire(w.t, w.r, a)
			for b, id := range w.members {
				if id == now && w.r.dests[b] == nil && !same(before[id], w.table.entry(id)) {
					w.t.Fatalf("id %d was changed for %s while %s names it", now, a, b)
				}
			}
			w.members[a] = now
		}
	}
	if err := w.r.Settle(); err != nil {
		w.t.Fatal(err)
	}
}

// check holds what must be true at any time, and more once all is settled.
func (w *world) check(settled bool) error {
	named := make(map[loader.NextHopID]bool)
	for a, id := range w.members {
		d := w.r.dests[a]
		if d == nil {
			return fmt.Errorf("%s is a member but unknown", a)
		}
		named[id] = true
		if id != d.hop.id && len(d.left) == 0 {
			return fmt.Errorf("%s names id %d, its hop is %d and no hand-over is due", a, id, d.hop.id)
		}
		if !settled {
			continue
		}
		at, routed := w.k.routes[a]
		entry := w.table.entry(id)
		if !routed {
			if entry.Ready {
				return fmt.Errorf("%s has no route, its entry is ready", a)
			}
			continue
		}
		n, up := w.k.neigh[at], w.k.ifaces[at.link].up
		if entry.Ready && (!up || entry.Interface != at.link) {
			return fmt.Errorf("%s leads by interface %d (up %v), its entry is %+v", a, at.link, up, entry)
		}
		if up && n.valid() && (!entry.Ready || entry.Destination.String() != n.mac.String()) {
			return fmt.Errorf("%s is to go to %s, its entry is %+v", a, n.mac, entry)
		}
		if up && n.failed() && entry.Ready {
			return fmt.Errorf("%s is behind a dead neighbour, its entry is ready", a)
		}
	}
	seen := make(map[loader.NextHopID]key)
	for at, h := range w.r.hops {
		if other, twice := seen[h.id]; twice {
			return fmt.Errorf("id %d leads to %v and %v", h.id, at, other)
		}
		seen[h.id] = at
		named[h.id] = true
	}
	for id := range w.table.entries {
		if !named[id] {
			return fmt.Errorf("entry %d is left over", id)
		}
	}
	return nil
}

// Whatever happens in whatever order: an id that a member names leads to that
// member or nowhere, and nothing is left over.
func TestRandomSequences(t *testing.T) {
	for seed := range uint64(60) {
		w := &world{
			t: t, rng: rand.New(rand.NewPCG(seed, 0)), k: newFakeKernel(), table: newFakeTable(),
			members: make(map[netip.Addr]loader.NextHopID), refs: make(map[netip.Addr]int),
		}
		w.k.card(2)
		w.k.card(3)
		w.restart()
		var log []string
		for range 150 {
			log = append(log, w.step())
			err := w.check(false)
			if err == nil && w.rng.IntN(3) == 0 {
				w.busy = false
				w.r.settle()
				w.r.settle() // a hand-over may have made something free
				log = append(log, "settle")
				err = w.check(true)
			}
			if err != nil {
				t.Fatalf("seed %d: %v\nafter %v", seed, err, log)
			}
		}
	}
}
