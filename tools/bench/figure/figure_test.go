package figure

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		samples []float64
		want    float64
	}{
		{[]float64{7}, 7},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 100}, 3.5},
		{[]float64{1, 1, 1, 1, 1000}, 1},
	} {
		given := slices.Clone(tt.samples)
		if got := Median(tt.samples); got != tt.want {
			t.Errorf("median of %v is %v, want %v", tt.samples, got, tt.want)
		}
		if !slices.Equal(given, tt.samples) {
			t.Errorf("samples were put in another order: %v", tt.samples)
		}
	}
	if got := Median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v", got)
	}
}

// A machine that is twice as slow in one round does not change a ratio.
func TestRatiosAreTakenWithinARound(t *testing.T) {
	of, by := []float64{300, 600, 150}, []float64{100, 200, 50}
	if got := Ratios(of, by); !slices.Equal(got, []float64{3, 3, 3}) {
		t.Errorf("ratios %v", got)
	}
	if got := Differences(of, by); !slices.Equal(got, []float64{200, 400, 100}) {
		t.Errorf("differences %v", got)
	}
}

func TestInterleave(t *testing.T) {
	var order []int
	got, err := Interleave(t.Context(), 3, 3, func(subject int) (float64, error) {
		order = append(order, subject)
		return float64(10*subject + len(order)), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []int{0, 1, 2, 1, 2, 0, 2, 0, 1}; !slices.Equal(order, want) {
		t.Errorf("measured in order %v, want %v", order, want)
	}
	for subject, want := range [][]float64{{1, 6, 8}, {12, 14, 19}, {23, 25, 27}} {
		if !slices.Equal(got[subject], want) {
			t.Errorf("subject %d has samples %v, want %v", subject, got[subject], want)
		}
	}
}

func TestInterleaveEnds(t *testing.T) {
	broken := errors.New("broken")
	calls := 0
	_, err := Interleave(t.Context(), 5, 2, func(int) (float64, error) {
		calls++
		return 0, broken
	})
	if !errors.Is(err, broken) || calls != 1 {
		t.Errorf("after a failure: %v, %d calls", err, calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls = 0
	_, err = Interleave(ctx, 5, 2, func(int) (float64, error) {
		calls++
		cancel()
		return 0, nil
	})
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("after Ctrl-C: %v, %d calls", err, calls)
	}
}

func sample() Table {
	row := func(mode string, flows int, ns ...float64) Row {
		return Row{
			Varied:  []Cell{{"mode", mode}, {"flows", flows}},
			Facts:   []Cell{{"guard", "none"}},
			Figures: []Figure{{"ns", "ns", ns}, {"per_floor", "x", Ratios(ns, []float64{50, 50, 50})}},
		}
	}
	return Table{Name: "xdp", Notes: []string{"a note"}, Rows: []Row{row("dsr", 1000, 100, 125, 150), row("nat <hide>", 64, 200, 180, 190)}}
}

func written(t *testing.T, write func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestText(t *testing.T) {
	const want = `mode        flows  guard  ns          per_floor
dsr         1000   none   125 [50.0]  2.50 [1.00]
nat <hide>  64     none   190 [20.0]  3.80 [0.40]
# a note
`
	if got := written(t, sample().Text); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestJSON(t *testing.T) {
	var got struct {
		Rows []struct {
			Mode     string
			Flows    int
			Guard    string
			NS       float64
			PerFloor float64 `json:"per_floor"`
			Samples  map[string][]float64
		}
	}
	if err := json.Unmarshal([]byte(written(t, sample().JSON)), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Rows) != 2 {
		t.Fatalf("%d rows", len(got.Rows))
	}
	r := got.Rows[1]
	if r.Mode != "nat <hide>" || r.Flows != 64 || r.Guard != "none" || r.NS != 190 || r.PerFloor != 3.8 || len(r.Samples["ns"]) != 3 {
		t.Errorf("row %+v", r)
	}
}

func TestBenchstat(t *testing.T) {
	const want = `BenchmarkXdp/mode=dsr/flows=1000 1 100 ns 2 per_floor
BenchmarkXdp/mode=dsr/flows=1000 1 125 ns 2.5 per_floor
BenchmarkXdp/mode=dsr/flows=1000 1 150 ns 3 per_floor
`
	if got := written(t, sample().Benchstat); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 6 {
		t.Errorf("got\n%s", got)
	}
}

func TestScale(t *testing.T) {
	for _, test := range []struct {
		values []float64
		ticks  []float64
		place  map[float64]float64 // of a hundred pixels
	}{
		{[]float64{0, 10}, []float64{0, 2, 4, 6, 8, 10}, map[float64]float64{0: 0, 5: 50, 10: 100}},
		{[]float64{1, 3.9}, []float64{0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5}, map[float64]float64{3.9: 100}},
		{[]float64{4, 8}, []float64{0, 1, 2, 3, 4, 5, 6, 7, 8}, map[float64]float64{4: 50}},
		{[]float64{0, 1, 100}, []float64{1, 10, 100}, map[float64]float64{0: 0, 1: 0, 10: 50, 100: 100}},
		{[]float64{0.02, 20}, []float64{0.01, 0.1, 1, 10}, map[float64]float64{0.01: 0, 20: 100}},
	} {
		s := newScale(test.values, 100)
		ticks := s.ticks()
		for i, v := range ticks {
			if len(ticks) != len(test.ticks) || math.Abs(v-test.ticks[i]) > 1e-9 {
				t.Errorf("%v: ticks %v, want %v", test.values, ticks, test.ticks)
				break
			}
		}
		for v, want := range test.place {
			if got := s.place(v); math.Abs(got-want) > 1e-9 {
				t.Errorf("%v: %v is at %v, want %v", test.values, v, got, want)
			}
		}
	}
}

func TestSVG(t *testing.T) {
	got := written(t, func(w io.Writer) error { return sample().SVG(w, "per_floor", 2.5) })
	d := xml.NewDecoder(strings.NewReader(got))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("no XML: %v\n%s", err, got)
		}
	}
	for _, want := range []string{
		"nat &lt;hide&gt; 64", ">3.80<", "stroke-dasharray", "per_floor [x]", "median of 3", "dashes: the goal, 2.50", ">mode, flows:<", ">dsr<", ">1<", ">4<", hues[1],
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the plot lacks %q", want)
		}
	}
	if err := sample().SVG(io.Discard, "absent", 0); err == nil {
		t.Error("drew a figure that no row has")
	}
}
