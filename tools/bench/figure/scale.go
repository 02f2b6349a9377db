package figure

import (
	"fmt"
	"math"
	"slices"
)

// scale places values on an axis: evenly from 0, or, where the largest is a
// hundred times the smallest, by powers of ten.
type scale struct {
	low, high float64
	powers    bool
	width     float64 // pixels
}

// wide is from which ratio on small values could not be seen on an even axis.
const wide = 100

// newScale makes one for values of which one at least is above 0.
func newScale(values []float64, width int) scale {
	s := scale{high: slices.Max(values), width: float64(width)}
	least := s.high
	for _, v := range values {
		if v > 0 {
			least = min(least, v)
		}
	}
	if s.high/least < wide {
		return s
	}
	s.powers = true
	s.low = math.Pow(10, math.Floor(math.Log10(least)))
	return s
}

// place is how far from the begin of the axis a value is, in pixels.
func (s scale) place(v float64) float64 {
	if !s.powers {
		return max(v, 0) / s.high * s.width
	}
	v = max(v, s.low)
	return math.Log10(v/s.low) / math.Log10(s.high/s.low) * s.width
}

// ticks are round numbers: powers of ten, or four to ten even steps.
func (s scale) ticks() (all []float64) {
	if s.powers {
		for v := s.low; v <= s.high*(1+1e-9); v *= 10 {
			all = append(all, v)
		}
		return all
	}
	step := math.Pow(10, math.Floor(math.Log10(s.high)))
	for _, finer := range []float64{2, 2.5, 2} { // 1, 0.5, 0.2, 0.1
		if s.high/step >= 4 {
			break
		}
		step /= finer
	}
	for i := 0; float64(i)*step <= s.high*(1+1e-9); i++ {
		all = append(all, float64(i)*step)
	}
	return all
}

// text tells readers of an axis that is not even.
func (s scale) text() string {
	if s.powers {
		return "; the axis is logarithmic"
	}
	return ""
}

// round writes a number that is round in as few digits as it has.
func round(v float64) string { return fmt.Sprintf("%.4g", v) }
