// Package figure holds what benchmarks measure: samples taken in interleaved
// rounds, their medians and ratios, and how they are shown.
package figure

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// Cell is a name and what is under it.
type Cell struct {
	Name  string
	Value any
}

// Figure is one measured quantity, with a sample for each round.
type Figure struct {
	Name    string
	Unit    string // for people: "ns", "x", ...
	Samples []float64
}

// Median is the middle of the samples.
func (f Figure) Median() float64 { return Median(f.Samples) }

// Row is what was varied, what else held, and what was measured.
type Row struct {
	Varied  []Cell
	Facts   []Cell
	Figures []Figure
}

// Figure returns a figure by name.
func (r Row) Figure(name string) (Figure, bool) {
	i := slices.IndexFunc(r.Figures, func(f Figure) bool { return f.Name == name })
	if i < 0 {
		return Figure{}, false
	}
	return r.Figures[i], true
}

// Label is what was varied, in one line.
func (r Row) Label() string {
	text := ""
	for _, c := range r.Varied {
		if text != "" {
			text += " "
		}
		text += fmt.Sprint(c.Value)
	}
	return text
}

// Median is the middle of the samples, the mean of the middle two where their
// number is even, and NaN where there is none.
func Median(samples []float64) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(samples))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// Ratios divides samples of the same round. The machine is not the same from
// one round to the next, so medians are taken of ratios and not the other way
// round.
func Ratios(of, by []float64) []float64 {
	return zip(of, by, func(a, b float64) float64 { return a / b })
}

// Differences subtracts samples of the same round.
func Differences(of, less []float64) []float64 {
	return zip(of, less, func(a, b float64) float64 { return a - b })
}

// Each takes one number of every sample.
func Each[T any](samples []T, of func(T) float64) []float64 {
	out := make([]float64, len(samples))
	for i, s := range samples {
		out[i] = of(s)
	}
	return out
}

func zip(a, b []float64, fn func(a, b float64) float64) []float64 {
	out := make([]float64, min(len(a), len(b)))
	for i := range out {
		out[i] = fn(a[i], b[i])
	}
	return out
}

// Interleave measures every subject once in each of a number of rounds, so that
// whatever disturbs the machine disturbs all of them alike. Each round begins
// with another subject. The samples come back by subject and round.
func Interleave[T any](ctx context.Context, rounds, subjects int, measure func(subject int) (T, error)) ([][]T, error) {
	out := make([][]T, subjects)
	for round := range rounds {
		for i := range subjects {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			subject := (round + i) % subjects
			sample, err := measure(subject)
			if err != nil {
				return nil, err
			}
			out[subject] = append(out[subject], sample)
		}
	}
	return out, nil
}
