package ring

import (
	"cmp"
	"math"
	"slices"
)

// candidate is a member made ready for scoring.
type candidate struct {
	id     uint32
	stream uint64  // state of its SplitMix64 stream before entry 0
	weight float64 // > 0
	rank   int     // decides between equal scores: the lower address and port
}

// field are candidates of one weight, their streams side by side: a search reads
// little else.
type field struct {
	weight  float64
	streams []uint64
	members []candidate
}

// fields groups candidates by weight.
func fields(candidates []candidate) []field {
	sorted := slices.Clone(candidates)
	slices.SortStableFunc(sorted, func(a, b candidate) int { return cmp.Compare(a.weight, b.weight) })
	var list []field
	for _, c := range sorted {
		if len(list) == 0 || list[len(list)-1].weight != c.weight {
			list = append(list, field{weight: c.weight})
		}
		f := &list[len(list)-1]
		f.streams, f.members = append(f.streams, c.stream), append(f.members, c)
	}
	return list
}

// claim is a candidate's hold on one entry.
type claim struct {
	id    uint32
	rank  int
	score float64
}

// nobody holds an entry that every candidate wins.
var nobody = claim{score: math.Inf(1)}

// best returns who wins entry among the candidates and the present holder. The
// candidate of id but takes no part.
func best(list []field, entry int, holder claim, but uint32) claim {
	offset := uint64(entry+1) * golden
	for n := range list {
		f := &list[n]
		// Of one weight the highest draw wins; only that needs a logarithm.
		least, top := leastDraw(holder.score, f.weight), -1
		for i, stream := range f.streams {
			z := mix(stream + offset)
			if z < least || f.members[i].id == but {
				continue
			}
			if top >= 0 && z>>12 == least>>12 && f.members[top].rank < f.members[i].rank {
				continue
			}
			least, top = z>>12<<12, i
		}
		if top < 0 {
			continue
		}
		c := &f.members[top]
		if s := score(unit(least), f.weight); s < holder.score || s == holder.score && c.rank < holder.rank {
			holder = claim{id: c.id, rank: c.rank, score: s}
		}
	}
	return holder
}

// leastDraw returns what a draw must reach at least to beat a score. As −ln(u) ≥
// 1−u, most candidates lose by it, without a logarithm. The slack is far above
// the rounding of both sides: the bound only ever skips what loses by the exact
// score.
func leastDraw(against, weight float64) uint64 {
	u := 1 - against*weight*(1+1e-9)
	if !(u > 0x1p-40) {
		return 0
	}
	return uint64(u*0x1p52-1) << 12
}

// golden is SplitMix64's step.
const golden = 0x9e3779b97f4a7c15

// draw returns the number in (0, 1) of a stream at an entry: SplitMix64, whose
// streams started at unrelated states are independent.
func draw(stream uint64, entry int) float64 {
	return unit(mix(stream + uint64(entry+1)*golden))
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// unit maps a draw into (0, 1) by 52 bits and a half: both ends are excluded and
// every step is exact.
func unit(z uint64) float64 {
	return (float64(z>>12) + 0.5) * 0x1p-52
}

func score(u, weight float64) float64 {
	return -ln(u) / weight
}

// ln is the natural logarithm for 0 < x < 1 by FreeBSD's e_log.c, as math.Log
// is on most machines. It is written out because math.Log has assembly for
// some architectures and the compiler fuses multiply and add on others; a
// conversion forbids that, so that every gateway gets the same last bit.
func ln(x float64) float64 {
	const (
		ln2Hi = 6.93147180369123816490e-01
		ln2Lo = 1.90821492927058770002e-10
		l1    = 6.666666666666735130e-01
		l2    = 3.999999999940941908e-01
		l3    = 2.857142874366239149e-01
		l4    = 2.222219843214978396e-01
		l5    = 1.818357216161805012e-01
		l6    = 1.531383769920937332e-01
		l7    = 1.479819860511658591e-01
	)
	f1, exp := math.Frexp(x)
	if f1 < math.Sqrt2/2 {
		f1 *= 2
		exp--
	}
	f, k := f1-1, float64(exp)
	s := f / (2 + f)
	s2 := float64(s * s)
	s4 := float64(s2 * s2)
	t1 := float64(s2 * (l1 + float64(s4*(l3+float64(s4*(l5+float64(s4*l7)))))))
	t2 := float64(s4 * (l2 + float64(s4*(l4+float64(s4*l6)))))
	r, half := t1+t2, float64(float64(0.5*f)*f)
	return float64(k*ln2Hi) - ((half - (float64(s*(half+r)) + float64(k*ln2Lo))) - f)
}
