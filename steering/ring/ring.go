// Package ring lays a service's members out over the entries of its ring by
// keyed weighted rendezvous hashing. It is pure: the same key and members give
// the same ring on every gateway, in whatever order they are named.
//
// Each entry goes to the member with the smallest score −ln(u)/weight, where u
// in (0, 1) comes from a hash of key, entry and the member's address and port.
// A member's score at an entry depends on nothing but itself, so a change moves
// exactly the entries it must: those a removed or lightened member held, and
// those a new or heavier one now wins.
//
// A member of weight w out of W holds on average w/W of the entries, with the
// spread of that many coin tosses: it is off by more than [Bound] for less than
// one key in ten thousand.
package ring

import (
	"math"
	"net/netip"
	"runtime"
	"sync"
)

// Entries is the length of a ring.
const Entries = 65537

// Key makes the layout unpredictable to those who do not hold it. All gateways
// of a cluster use the same.
type Key [16]byte

// Member is one candidate for the entries of a ring.
type Member struct {
	// ID is what entries hold, never 0. It is local to a node and has no
	// influence on the layout.
	ID uint32
	// Addr identifies the member to the hash; no two of a ring are the same.
	Addr netip.AddrPort
	// Weight is the share relative to the others; 0 gets no entry.
	Weight uint32
}

// Build returns a ring of Entries ids over the members; 0 stands in all of them
// when no member has a weight.
func Build(key Key, members []Member) []uint32 {
	list := fields(compile(key, members))
	entries := make([]uint32, Entries)
	each(func(i int) { entries[i] = best(list, i, nobody, 0).id })
	return entries
}

// Second returns for each entry of a ring over the members who would win it if
// the one that holds it did not exist: its second choice.
func Second(key Key, members []Member, entries []uint32) []uint32 {
	list := fields(compile(key, members))
	seconds := make([]uint32, Entries)
	each(func(i int) { seconds[i] = best(list, i, nobody, entries[i]).id })
	return seconds
}

// each calls do for all entries, on all processors.
func each(do func(entry int)) {
	var group sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		group.Go(func() {
			for i := w * Entries / workers; i < (w+1)*Entries/workers; i++ {
				do(i)
			}
		})
	}
	group.Wait()
}

// Bound returns by how much the share of entries of a member may differ from
// its share of the weights p, both in 0 to 1: four standard deviations of
// Entries independent draws. For weights 1:2:5 that is 0.52, 0.68 and 0.76
// percent of the ring.
func Bound(p float64) float64 {
	return 4 * math.Sqrt(p*(1-p)/Entries)
}
