package nexthop

import (
	"errors"
	"net/netip"

	"sluice/loader"
)

// ids hands out the indexes of the next-hop table.
type ids struct {
	inUse map[loader.NextHopID]bool
	// adoptable are the ids of an earlier life that nobody claimed yet, with
	// their entries. former are those that members of an address name, and
	// sharers how many addresses name one.
	adoptable map[loader.NextHopID]loader.NextHop
	former    map[netip.Addr]loader.NextHopID
	sharers   map[loader.NextHopID]int
	// cooling are freed, but flows may remember them until routes were bumped.
	cooling []loader.NextHopID
	next    loader.NextHopID
}

func newIDs(table map[loader.NextHopID]loader.NextHop, members map[loader.MemberID]loader.Member) ids {
	s := ids{
		inUse:     make(map[loader.NextHopID]bool),
		adoptable: make(map[loader.NextHopID]loader.NextHop),
		former:    make(map[netip.Addr]loader.NextHopID),
		sharers:   make(map[loader.NextHopID]int),
		next:      1,
	}
	for id, entry := range table {
		if id != 0 {
			s.inUse[id] = true
			s.adoptable[id] = entry
		}
	}
	for _, m := range members {
		// An entry that was never ready is empty, and so not in the table.
		if id := m.NextHop; id != 0 {
			s.inUse[id] = true
			s.adoptable[id] = table[id]
			s.former[m.Addr.Addr().Unmap()] = id
		}
	}
	for _, id := range s.former {
		s.sharers[id]++
	}
	return s
}

// take returns an id that nothing names. It walks through the whole range
// before it comes back to one, so that an id in a log line stays telling.
func (s *ids) take() (loader.NextHopID, error) {
	for range loader.MaxNextHops - 1 {
		id := s.next
		if s.next++; s.next >= loader.MaxNextHops {
			s.next = 1
		}
		if !s.inUse[id] {
			s.inUse[id] = true
			return id, nil
		}
	}
	return 0, errors.New("the next-hop table is full; name fewer backends")
}

// claim takes an entry of an earlier life and returns what it holds.
func (s *ids) claim(id loader.NextHopID) loader.NextHop {
	entry := s.adoptable[id]
	delete(s.adoptable, id)
	return entry
}

// retire gives id back; it becomes free with the next call of cooled.
func (s *ids) retire(id loader.NextHopID) {
	delete(s.adoptable, id)
	s.cooling = append(s.cooling, id)
}

// cooled says that no flow remembers the retired ids any more.
func (s *ids) cooled() {
	for _, id := range s.cooling {
		delete(s.inUse, id)
	}
	s.cooling = nil
}
