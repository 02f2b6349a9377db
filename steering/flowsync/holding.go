package flowsync

import "sluice/steering/flowsync/wire"

// holding is which flows of a cluster a table has, by the terms in which they
// began or went on. A span of terms is a hull: it may name some that lack nothing.
type holding wire.Holding

var none wire.Span

// missing are the terms up to one of which flows may be missing here.
func (h holding) missing(upTo uint64) wire.Span {
	from := h.To + 1
	if h.Tail && h.To > 0 {
		from = h.To
	}
	return hull(cut(h.Lacks, 1, upTo), cut(wire.Span{Lo: from, Hi: upTo}, 1, upTo))
}

// helps says whether a table with this may have flows that another one lacks. What it
// may itself lack says nothing against it: it may have some of those.
func (h holding) helps(lacks wire.Span) bool { return cut(lacks, 1, h.To) != none }

// filled is what of some missing terms is missing still when all that is had was
// told.
func (h holding) filled(lacks wire.Span) wire.Span {
	to := h.To
	if h.Tail && to > 0 {
		to--
	}
	return hull(both(lacks, h.Lacks), cut(lacks, to+1, lacks.Hi))
}

// rank orders what is told of one flow: the newer term wins, in it who was active.
func (h holding) rank() uint64 {
	if h.Tail || h.To == 0 {
		return 2 * h.To
	}
	return 2*h.To + 1
}

// swept is the holding of a table that became like that of an active gateway which
// lacks something.
func swept(term uint64, lacks wire.Span) holding { return holding{To: term, Tail: true, Lacks: lacks} }

// joined is swept where nothing was removed.
func (h holding) joined(term uint64, lacks wire.Span) holding {
	return swept(term, both(h.missing(term-1), lacks))
}

// cut is the part of a span from one term to another.
func cut(s wire.Span, from, to uint64) wire.Span { return both(s, wire.Span{Lo: from, Hi: to}) }

func both(a, b wire.Span) wire.Span {
	s := wire.Span{Lo: max(a.Lo, b.Lo), Hi: min(a.Hi, b.Hi)}
	if a == none || b == none || s.Lo > s.Hi {
		return none
	}
	return s
}

func hull(a, b wire.Span) wire.Span {
	switch none {
	case a:
		return b
	case b:
		return a
	}
	return wire.Span{Lo: min(a.Lo, b.Lo), Hi: max(a.Hi, b.Hi)}
}
