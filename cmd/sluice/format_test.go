package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"strings"
	"testing"

	"sluice/internal/control"
)

type pair struct {
	name string
	n    uint64
}

var pairColumns = []column[pair]{
	text("NAME", "name", func(p pair) string { return p.name }),
	number("N", "n", func(p pair) uint64 { return p.n }),
	size("", "bytes", func(p pair) uint64 { return p.n }),
	text("LAST", "last", func(pair) string { return "" }),
}

func TestTable(t *testing.T) {
	var b bytes.Buffer
	if err := writeTable(&b, []pair{{"≤blue", 7}, {"a\x1b[31m\nb", 1000}}, pairColumns); err != nil {
		t.Fatal(err)
	}
	want := "NAME         N  LAST\n≤blue        7  -\na?[31m?b  1000  -\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestEmptyTableHasItsHead(t *testing.T) {
	var b bytes.Buffer
	if err := writeTable(&b, nil, pairColumns); err != nil || b.String() != "NAME  N  LAST\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestCSVKeepsValues(t *testing.T) {
	var b bytes.Buffer
	if err := writeCSV(&b, []pair{{"a,\"b\"\nc", 1 << 40}}, pairColumns); err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(records[0], "|"); got != "name|n|bytes|last" {
		t.Errorf("header %s", got)
	}
	if got := strings.Join(records[1], "|"); got != "a,\"b\"\nc|1099511627776|1099511627776|" {
		t.Errorf("record %s", got)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// TestFullDiskIsNoticed: half a table in a file must not pass for a whole one.
func TestFullDiskIsNoticed(t *testing.T) {
	for _, f := range []format{{}, {json: true}, {csv: true}} {
		if err := show(fullDisk{}, f, pair{}, []pair{{"a", 1}}, pairColumns); err == nil {
			t.Errorf("%+v: no error", f)
		}
	}
}

// TestColumnsAreNamedAsInJSON: CSV and JSON are two forms of one thing.
func TestColumnsAreNamedAsInJSON(t *testing.T) {
	checkNames(t, control.Backend{}, backendColumns(), "since", "deadline")
	checkNames(t, control.Service{}, serviceColumns())
	checkNames(t, control.Flow{}, flowColumns())
	checkNames(t, control.Drop{}, dropColumns())
	checkNames(t, control.Node{}, nodeColumns())
	checkNames(t, control.Settings{}, settingsColumns(), "last_reload")
}

// checkNames compares the columns with the fields of v; CSV may leave out
// the fields named and add what it counts.
func checkNames[T any](t *testing.T, v T, columns []column[T], without ...string) {
	t.Helper()
	var b bytes.Buffer
	if err := writeJSON(&b, v); err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, c := range columns {
		names[c.name] = true
		if c.name != "backends_up" && !strings.Contains(b.String(), `"`+c.name+`":`) {
			t.Errorf("%T has no field %q", v, c.name)
		}
	}
	for line := range strings.Lines(b.String()) {
		name, _, isField := strings.Cut(strings.TrimSpace(line), `":`)
		name = strings.TrimPrefix(name, `"`)
		if isField && !names[name] && !strings.Contains(strings.Join(without, " "), name) {
			t.Errorf("%T: field %q has no column", v, name)
		}
	}
}
