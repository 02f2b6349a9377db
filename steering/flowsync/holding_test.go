package flowsync

import (
	"testing"

	"sluice/steering/flowsync/wire"
)

// What a span says is compared with sets of terms, for all holdings of few terms: a
// span may name more than the set, never less.
func TestHoldings(t *testing.T) {
	const terms = 5
	all := holdings(terms)
	for _, h := range all {
		for upTo := range uint64(terms + 1) {
			for term := uint64(1); term <= upTo; term++ {
				if h.lacking(term) && !within(h.missing(upTo), term) {
					t.Fatalf("%+v misses of term %d, and says %+v up to %d", h, term, h.missing(upTo), upTo)
				}
			}
			if m := h.missing(upTo); m.Hi > upTo || m != none && m.Lo == 0 {
				t.Fatalf("%+v misses %+v up to %d", h, m, upTo)
			}
		}
		for _, lacks := range spans(terms) {
			helps := false
			for term := uint64(1); term <= terms; term++ {
				helps = helps || within(lacks, term) && term <= h.To
				if within(lacks, term) && h.lacking(term) && !within(h.filled(lacks), term) {
					t.Fatalf("%+v does not fill term %d, but leaves %+v of %+v", h, term, h.filled(lacks), lacks)
				}
				if within(h.filled(lacks), term) && !within(lacks, term) {
					t.Fatalf("%+v leaves %+v of %+v", h, h.filled(lacks), lacks)
				}
				joined := h.joined(terms+1, lacks)
				if within(lacks, term) && h.lacking(term) && !joined.lacking(term) {
					t.Fatalf("%+v joined with one that lacks %+v has term %d: %+v", h, lacks, term, joined)
				}
			}
			if h.helps(lacks) != helps {
				t.Fatalf("%+v helps one that lacks %+v: %t", h, lacks, !helps)
			}
		}
	}
}

// lacking says that a term's flows are not all here.
func (h holding) lacking(term uint64) bool {
	return term > h.To || h.Tail && term == h.To || within(h.Lacks, term)
}

func within(s wire.Span, term uint64) bool { return s != none && s.Lo <= term && term <= s.Hi }

func spans(terms uint64) []wire.Span {
	list := []wire.Span{none}
	for lo := uint64(1); lo <= terms; lo++ {
		for hi := lo; hi <= terms; hi++ {
			list = append(list, wire.Span{Lo: lo, Hi: hi})
		}
	}
	return list
}

func holdings(terms uint64) []holding {
	var list []holding
	for to := range terms + 1 {
		for _, tail := range []bool{false, true} {
			for _, lacks := range spans(terms) {
				if lacks.Hi <= to {
					list = append(list, holding{To: to, Tail: tail, Lacks: lacks})
				}
			}
		}
	}
	return list
}

// Of two tellers the one of the newer term counts, and in a term who was active.
func TestRanks(t *testing.T) {
	order := []holding{{}, {To: 1, Tail: true}, {To: 1}, {To: 2, Tail: true}, {To: 2}}
	for i := range order[1:] {
		if order[i].rank() >= order[i+1].rank() {
			t.Errorf("%+v is not below %+v", order[i], order[i+1])
		}
	}
}
