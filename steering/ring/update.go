package ring

import "net/netip"

// Update changes entries, which Build or Update made for the key and the
// members have, into the ring for want. The outcome is the one of Build for
// want, but only what differs is computed: a member that comes or goes among
// thousands costs one pass over the entries. Ids may differ between have and
// want; members are told apart by address and port.
func Update(key Key, have []Member, entries []uint32, want []Member) {
	candidates, gained, holders := compare(key, have, want)
	all, gainers := fields(candidates), fields(gained)
	each(func(i int) {
		h, stays := holders[entries[i]]
		if !stays {
			entries[i] = best(all, i, nobody, 0).id
			return
		}
		if len(gainers) == 0 {
			entries[i] = h.id
			return
		}
		// The holder still beats everyone whose score did not fall, so only
		// those who gained can take the entry from it.
		claim := claim{id: h.id, rank: h.rank, score: score(draw(h.stream, i), h.weight)}
		entries[i] = best(gainers, i, claim, 0).id
	})
}

// compare returns all candidates of want, those of them that are new or
// heavier than in have, and by its id in have each one that kept or gained.
func compare(key Key, have, want []Member) (all, gainers []candidate, holders map[uint32]candidate) {
	before := make(map[netip.AddrPort]Member, len(have))
	for _, m := range have {
		if m.Weight > 0 {
			before[m.Addr] = m
		}
	}
	was := make(map[uint32]Member, len(want)) // by id in want
	for _, m := range want {
		was[m.ID] = before[m.Addr]
	}
	all = compile(key, want)
	holders = make(map[uint32]candidate, len(all))
	for _, c := range all {
		old := was[c.id]
		if c.weight > float64(old.Weight) {
			gainers = append(gainers, c)
		}
		if old.Weight > 0 && c.weight >= float64(old.Weight) {
			holders[old.ID] = c
		}
	}
	return all, gainers, holders
}
