package control

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExpandNodeSet(t *testing.T) {
	for _, tt := range []struct {
		set  string
		want string // space-separated
	}{
		{"blue", "blue"},
		{"blue[1-4]", "blue1 blue2 blue3 blue4"},
		{"blue[1,3,7]", "blue1 blue3 blue7"},
		{"blue[1-2],red", "blue1 blue2 red"},
		{"blue[1-2],blue[2-3]", "blue1 blue2 blue3"},
		{"n[08-11]", "n08 n09 n10 n11"},
		{"n[0-10/5]", "n0 n5 n10"},
		{"n[001-009/4]", "n001 n005 n009"},
		{"n[7]", "n7"},
		{"n[07]", "n07"},
		{"r[1-2]n[1-2]", "r1n1 r1n2 r2n1 r2n2"},
		{"n[1-2].example.org:22", "n1.example.org:22 n2.example.org:22"},
		{"10.0.0.[11-12]:22", "10.0.0.11:22 10.0.0.12:22"},
		{"[fd00::1]:22", "[fd00::1]:22"},
		{"[fd00::1]:22,blue", "[fd00::1]:22 blue"},
		{"bläu[1-2]", "bläu1 bläu2"},
		{"n[999999999]", "n999999999"},
	} {
		got, err := ExpandNodeSet(tt.set)
		if err != nil {
			t.Errorf("%s: %v", tt.set, err)
			continue
		}
		if diff := cmp.Diff(strings.Fields(tt.want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.set, diff)
		}
	}
}

func TestExpandNodeSetRefuses(t *testing.T) {
	for set, want := range map[string]string{
		"":                  "empty name",
		"blue,":             "empty name",
		",blue":             "empty name",
		"blue[1-4":          `"[" without "]"`,
		"blue1]":            `"]" without "["`,
		"blue[[1]]":         `"[" without "]"`,
		"blue[]":            "empty brackets",
		"blue[a]":           "want numbers",
		"blue[1-]":          "want numbers",
		"blue[-1]":          "want numbers",
		"blue[+1]":          "want numbers",
		"blue[4-1]":         "ends before it begins",
		"blue[1/2]":         "want a step",
		"blue[1-4/0]":       "want a step",
		"blue[1-4/x]":       "want a step",
		"blue[01-100]":      "", // width 2, grows as needed
		"blue[1-010]":       "unequal width",
		"blue[01-010]":      "unequal width",
		"blue[1-16385]":     "more than 16384",
		"blue[0-999999999]": "more than 16384",
		"a[1-200]b[1-200]":  "more than 16384",
		// 3.5 TB, were it expanded before it is counted.
		"a[1-15000]b[1-15000]c[1-15000]": "more than 16384",
		"a[1-16384],b[1-2]":              "more than 16384",
		"blue[1234567890]":               "want numbers",
		"blue 1":                         "character 5",
		"blue\x00":                       "character 5",
		"blue[1-4,9-6]":                  "ends before it begins",
		"a[1-16000,1-16000]":             "more than 16384",
		"a[1-2]b[0-999999999]":           "more than 16384",
	} {
		got, err := ExpandNodeSet(set)
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", set, err)
		case want != "" && err == nil:
			t.Errorf("%q: expanded to %d names, want error %q", set, len(got), want)
		case want != "" && !strings.Contains(err.Error(), want):
			t.Errorf("%q: error %q, want %q in it", set, err, want)
		}
	}
}

func FuzzExpandNodeSet(f *testing.F) {
	for _, set := range []string{"blue[1-4,07],red", "a[1-2]b[3-4/2]", "[fd00::1]:22", "n[", "]", "a[1-16384]", "ä[0-1]"} {
		f.Add(set)
	}
	f.Fuzz(func(t *testing.T, set string) {
		names, err := ExpandNodeSet(set)
		if err != nil {
			return
		}
		if len(names) == 0 || len(names) > MaxNodeSet {
			t.Fatalf("%q stands for %d names", set, len(names))
		}
		// Names stand for themselves, so expanding again changes nothing.
		again, err := ExpandNodeSet(strings.Join(names, ","))
		if err != nil {
			t.Fatalf("%q: names do not expand again: %v", set, err)
		}
		if diff := cmp.Diff(names, again); diff != "" {
			t.Fatalf("%q (-first +again):\n%s", set, diff)
		}
	})
}
