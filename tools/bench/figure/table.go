package figure

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Table is the outcome of a benchmark.
type Table struct {
	Name string
	// Notes say what must be known to read the figures.
	Notes []string
	Rows  []Row
}

// Text writes the table for people: medians, and in brackets how far the
// lowest and the highest sample were apart.
func (t Table) Text(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var head []string
	for i, r := range t.Rows {
		if h := r.head(); i == 0 || !slices.Equal(h, head) {
			head = h
			fmt.Fprintln(tw, strings.Join(head, "\t"))
		}
		fmt.Fprintln(tw, strings.Join(r.cells(), "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, n := range t.Notes {
		fmt.Fprintf(w, "# %s\n", n)
	}
	return nil
}

func (r Row) head() []string {
	var names []string
	for _, c := range slices.Concat(r.Varied, r.Facts) {
		names = append(names, c.Name)
	}
	for _, f := range r.Figures {
		names = append(names, f.Name)
	}
	return names
}

func (r Row) cells() []string {
	var texts []string
	for _, c := range slices.Concat(r.Varied, r.Facts) {
		texts = append(texts, fmt.Sprint(c.Value))
	}
	for _, f := range r.Figures {
		text := number(f.Median())
		if len(f.Samples) > 1 {
			text += fmt.Sprintf(" [%s]", number(slices.Max(f.Samples)-slices.Min(f.Samples)))
		}
		texts = append(texts, text)
	}
	return texts
}

// number writes three digits at least, and no more than mean anything.
func number(v float64) string {
	switch {
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// JSON writes {"rows": [...]}: what was varied and each median by name, and the
// samples of each figure.
func (t Table) JSON(w io.Writer) error {
	rows := make([]map[string]any, len(t.Rows))
	for i, r := range t.Rows {
		rows[i] = r.flat()
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(map[string]any{"bench": t.Name, "notes": t.Notes, "rows": rows})
}

func (r Row) flat() map[string]any {
	out := make(map[string]any)
	for _, c := range slices.Concat(r.Varied, r.Facts) {
		out[c.Name] = c.Value
	}
	samples := make(map[string][]float64)
	for _, f := range r.Figures {
		out[f.Name] = f.Median()
		samples[f.Name] = f.Samples
	}
	out["samples"] = samples
	return out
}

// Benchstat writes every sample as "go test -bench" does, for benchstat to
// compare two runs.
func (t Table) Benchstat(w io.Writer) error {
	for _, r := range t.Rows {
		words := []string{"Benchmark" + strings.ToUpper(t.Name[:1]) + t.Name[1:]}
		for _, c := range r.Varied {
			words = append(words, fmt.Sprintf("%s=%s", c.Name, strings.ReplaceAll(fmt.Sprint(c.Value), " ", "_")))
		}
		name := strings.Join(words, "/")
		for i := range r.rounds() {
			line := []string{name, "1"}
			for _, f := range r.Figures {
				if i < len(f.Samples) {
					line = append(line, fmt.Sprint(f.Samples[i]), f.Name)
				}
			}
			if _, err := fmt.Fprintln(w, strings.Join(line, " ")); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r Row) rounds() int {
	n := 0
	for _, f := range r.Figures {
		n = max(n, len(f.Samples))
	}
	return n
}
