package config

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// mark stands in the files of the tests before each place that a fault is
// expected at, once per fault. It never occurs in real ones.
const mark = '»'

// unmark takes the marks out of a file and returns where they stood, in their
// order, counted independently of the code under test.
func unmark(src string) (text string, places []string) {
	line, column := 1, 1
	var b strings.Builder
	for src != "" {
		c, size := utf8.DecodeRuneInString(src)
		char := src[:size]
		src = src[size:]
		switch c {
		case mark:
			places = append(places, fmt.Sprintf("%d:%d", line, column))
			continue
		case '\n':
			line, column = line+1, 0
		}
		column++
		b.WriteString(char)
	}
	return b.String(), places
}

// lines returns each fault of err as one line, nil for none.
func lines(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	faults, ok := err.(*Faults)
	if !ok {
		t.Fatalf("error is %T and not *Faults: %v", err, err)
	}
	return strings.Split(faults.Error(), "\n")
}

// testFaults parses a marked file and compares all faults with those wanted,
// which come without file and position.
func testFaults(t *testing.T, src string, want ...string) {
	t.Helper()
	text, places := unmark(src)
	if len(places) != len(want) {
		t.Fatalf("the file has %d marks for %d faults", len(places), len(want))
	}
	for i := range want {
		want[i] = "f.yaml:" + places[i] + ": " + want[i]
	}
	_, err := Parse("f.yaml", []byte(text), Hostname("gw-a"))
	if diff := cmp.Diff(want, lines(t, err)); diff != "" {
		t.Errorf("faults of\n%s\n(-want +got):\n%s", text, diff)
	}
}

// mustParse returns the settings of a file without faults.
func mustParse(t testing.TB, src string) *Settings {
	t.Helper()
	s, err := Parse("f.yaml", []byte(src), Hostname("gw-a"))
	if err != nil {
		t.Fatalf("parse\n%s\n%v", src, err)
	}
	return s
}

func TestUnmark(t *testing.T) {
	text, places := unmark("a: »1\n»»b: é»\n")
	if want := "a: 1\nb: é\n"; text != want {
		t.Errorf("text is %q, want %q", text, want)
	}
	if diff := cmp.Diff([]string{"1:4", "2:1", "2:1", "2:5"}, places); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
}
