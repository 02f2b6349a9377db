package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// quietEnv is a world that nothing comes out of.
func quietEnv() env {
	e := systemEnv()
	e.stdin, e.stdout, e.stderr = strings.NewReader(""), io.Discard, io.Discard
	e.getenv = func(string) string { return "" }
	return e
}

func TestArrange(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"status", "status"},
		{"status --watch", "status --watch"},
		{"-c f.yaml run", "-c f.yaml run"},
		{"run -c f.yaml", "-c f.yaml run"},
		{"run --config=f.yaml", "--config=f.yaml run"},
		{"show backends --json --socket s", "--socket s show backends --json"},
		{"show --json backends", "show backends --json"},
		{"drain blue1 --wait", "drain --wait -- blue1"},
		{"drain --wait blue1", "drain --wait -- blue1"},
		{"drain blue1 --wait=5m blue2 --deadline 10m", "drain --wait=5m --deadline 10m -- blue1 blue2"},
		{"drain -deadline 10m blue1", "drain -deadline 10m -- blue1"},
		{"drain drain", "drain -- drain"},
		{"drain -- --wait", "drain -- --wait"},
		{"weight blue1 -- -1", "weight -- blue1 -1"},
		{"show flows --sort -idle", "show flows --sort -idle"},
		{"settings apply -", "settings apply -- -"},
		{"drain help", "drain -- help"},
		{"help", "--help"},
		{"-h", "--help"},
		{"help drain", "drain --help"},
		{"drain blue1 --help --wait", "drain --help"},
		{"show -h", "show --help"},
		{"-c f.yaml show flows --help", "show flows --help"},
		{"node -settings /s --help -- x", "node -settings /s --help -- x"},
		{"complete sluice --x", "complete sluice --x"},
	} {
		got, err := arrange(newApp(quietEnv()), append([]string{"sluice"}, strings.Fields(tt.in)...))
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if diff := cmp.Diff(append([]string{"sluice"}, strings.Fields(tt.want)...), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.in, diff)
		}
	}
}

func TestArrangeRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"bogus":                       `unknown command "bogus"`,
		"bogus status":                `unknown command "bogus"`,
		"show bogus":                  `show: unknown "bogus"`,
		"show -- backends":            `show: unknown "backends"`,
		"status --bogus=1":            `unknown option "--bogus"`,
		"status -x":                   `unknown option "-x"`,
		"--json show backends":        `unknown option "--json"`,
		"drain blue1 --deadline":      `option "--deadline" needs a value`,
		"-c":                          `option "-c" needs a value`,
		"drain blue1 --wait --socket": `option "--socket" needs a value`,
	} {
		_, err := arrange(newApp(quietEnv()), append([]string{"sluice"}, strings.Fields(in)...))
		var f *failure
		if !errors.As(err, &f) || f.code != exitUsage || !strings.Contains(f.text, want) || len(f.hints) == 0 {
			t.Errorf("%s: error %#v, want %q with a hint", in, err, want)
		}
	}
}

// FuzzArrange checks that what arrange lets through is in the order it
// promises: arranging again changes nothing.
func FuzzArrange(f *testing.F) {
	for _, line := range []string{
		"drain blue1 --wait=5m -- -x", "show --json backends -c f", "help show flows", "node -a --b", "-- status", "status - -", "weight a -c= 3",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words := append([]string{"sluice"}, strings.Fields(line)...)
		once, err := arrange(newApp(quietEnv()), words)
		if err != nil {
			return
		}
		twice, err := arrange(newApp(quietEnv()), once)
		if err != nil || !slices.Equal(once, twice) {
			t.Errorf("%q became %q and then %q (%v)", words, once, twice, err)
		}
	})
}
