package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// format is how a command shows what it read: a table for people unless asked
// otherwise.
type format struct {
	json, csv bool
}

// flags are the same for every command that reads.
func (f *format) flags() []cli.Flag {
	return []cli.Flag{
		toggle("json", &f.json, "one JSON object, for programs"),
		toggle("csv", &f.csv, "CSV with a header, for spreadsheets"),
	}
}

// check refuses two answers to one question.
func (f *format) check() error {
	if f.json && f.csv {
		return usage("leave out one", "--json and --csv exclude each other")
	}
	return nil
}

// column is one column of a table and of its CSV. A column without a head is
// for CSV only: what people would not read in a line.
type column[T any] struct {
	head, name string
	// text is the cell for people, value the one for programs; where text is
	// nil both are the same.
	text, value func(T) string
	// right aligns numbers.
	right bool
}

// show writes rows in the format asked for; object is the same as JSON.
func show[T any](w io.Writer, f format, object any, rows []T, columns []column[T]) error {
	switch {
	case f.json:
		return writeJSON(w, object)
	case f.csv:
		return writeCSV(w, rows, columns)
	}
	return writeTable(w, rows, columns)
}

// writeJSON writes v for programs and still readable; what HTML would mind is
// left as it is.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// writeCSV writes all columns, those without a head too.
func writeCSV[T any](w io.Writer, rows []T, columns []column[T]) error {
	out := csv.NewWriter(w)
	record := make([]string, len(columns))
	for i, c := range columns {
		record[i] = c.name
	}
	_ = out.Write(record) // the error stays with the writer
	for _, row := range rows {
		for i, c := range columns {
			record[i] = c.value(row)
		}
		_ = out.Write(record)
	}
	out.Flush()
	return out.Error()
}

// writeTable writes the columns that have a head. Cells are made harmless:
// they may hold what a backend sent.
func writeTable[T any](w io.Writer, rows []T, columns []column[T]) error {
	var cells [][]string
	for _, c := range columns {
		if c.head == "" {
			continue
		}
		text := c.text
		if text == nil {
			text = c.value
		}
		column := []string{c.head}
		for _, row := range rows {
			column = append(column, printable(text(row)))
		}
		if c.right {
			padLeft(column)
		}
		cells = append(cells, column)
	}
	var buffer bytes.Buffer
	t := tabwriter.NewWriter(&buffer, 0, 0, 2, ' ', 0)
	for i := range len(rows) + 1 {
		line := make([]string, len(cells))
		for j := range cells {
			line[j] = cells[j][i]
		}
		fmt.Fprintln(t, strings.Join(line, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(buffer.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// padLeft gives all cells the width of the widest: tabwriter aligns either all
// columns to the right or none.
func padLeft(cells []string) {
	widest := 0
	for _, c := range cells {
		widest = max(widest, utf8.RuneCountInString(c))
	}
	for i, c := range cells {
		cells[i] = strings.Repeat(" ", widest-utf8.RuneCountInString(c)) + c
	}
}
