package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFaultError(t *testing.T) {
	for _, tt := range []struct {
		fault Fault
		want  string
	}{
		{Fault{File: "f", Line: 2, Column: 3, Path: "a.b", Problem: "is bad", Remedy: "mend it"}, "f:2:3: a.b: is bad; mend it"},
		{Fault{File: "f", Line: 2, Column: 3, Problem: "is bad"}, "f:2:3: is bad"},
		{Fault{File: "f", Problem: "is empty", Remedy: "write {}"}, "f: is empty; write {}"},
	} {
		if got := tt.fault.Error(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// TestFaultsTogether has faults of every origin in one file: YAML itself, keys,
// values, rules within a service and between services.
func TestFaultsTogether(t *testing.T) {
	testFaults(t, `
node: {name: »&a b, data_dir: »var}
dataplane:
  interfaces: [»a/b]
  »lifetime: {}
services:
  - listen: "192.0.2.3:22"
    »liste: x
    health_check: {timeout: »3s, rise: »*a}
    backends: [»"10.0.0.256", »192.0.2.3]
  - listen: »"192.0.2.3:22"
    mode: sshd
    »mode: 1
`,
		"anchors are not known here; remove it, or put quotes around text that begins with &",
		`node.data_dir: "var" is not an absolute path; begin it with /`,
		`dataplane.interfaces[0]: "a/b" is not the name of a network interface; write one of 1 to 15 bytes as ip link shows it`,
		"dataplane.lifetime: unknown key; did you mean lifetimes?",
		"services[0].liste: unknown key; did you mean listen?",
		"services[0].health_check.timeout: the timeout of 3s is not less than the interval of 2s; make timeout less than interval",
		"aliases are not known here; write out the value, or put quotes around text that begins with *",
		`services[0].backends[0]: "10.0.0.256" is not an IP address; write the address itself; names are not looked up`,
		"services[0].backends[1].addr: 192.0.2.3:22 is itself a service, services[0].listen (line 7); name a machine that serves SSH",
		"services[1].listen: 192.0.2.3:22 is where services[0].listen (line 7) listens; merge the two, or change the port",
		"services[1].mode: repeats the key of line 12; keep one of the two",
	)
}

func TestFaultsAsErrors(t *testing.T) {
	_, err := Parse("f.yaml", []byte("{a: 1, b: 2}"))
	wrapped := fmt.Errorf("apply: %w", err)
	var faults *Faults
	if !errors.As(wrapped, &faults) || len(faults.List) != 2 {
		t.Fatalf("got %v, want two faults", wrapped)
	}
	var first *Fault
	if !errors.As(wrapped, &first) || first != faults.List[0] || first.Path != "a" || first.Column != 2 {
		t.Errorf("first fault is %v, want that of key a", first)
	}
	if !errors.Is(wrapped, faults.List[1]) {
		t.Error("the second fault is not in the error")
	}
}

// TestFaultsAreBounded holds that a file cannot make us print without end.
func TestFaultsAreBounded(t *testing.T) {
	_, err := Parse("f.yaml", []byte(strings.Repeat("a: 1\n", 1000)))
	got := lines(t, err)
	if len(got) != maxFaults+1 {
		t.Fatalf("%d lines, want %d", len(got), maxFaults+1)
	}
	if want := "f.yaml: and 800 more; mend these first"; got[maxFaults] != want {
		t.Errorf("last line is %q, want %q", got[maxFaults], want)
	}
}

// TestFaultsAreOneLineEach holds that nothing from the file reaches the
// terminal as it is.
func TestFaultsAreOneLineEach(t *testing.T) {
	testFaults(t, `{»"a\nb\e[31m": 1, dataplane: {xdp: »"\u0007\n", interfaces: [»"`+strings.Repeat("é", 90)+`"]}}`,
		`"a\nb\x1b[31m": unknown key; known here: node, nodes, dataplane, guard, virtual_clusters, services`,
		`dataplane.xdp: "\a\n" is not known; known here: auto, native, generic`,
		`dataplane.interfaces[0]: "`+strings.Repeat("é", 60)+`…" is not the name of a network interface; write one of 1 to 15 bytes as ip link shows it`,
	)
}

func TestSuggest(t *testing.T) {
	known := []string{"listen", "backends", "mode"}
	for word, want := range map[string]string{
		"lisen":   "did you mean listen?",
		"listenn": "did you mean listen?",
		"lsiten":  "did you mean listen?",
		"Listen":  "did you mean listen?",
		"backend": "did you mean backends?",
		"mdoe":    "did you mean mode?",
		"m":       "known here: listen, backends, mode",
		"moxx":    "known here: listen, backends, mode",
		"":        "known here: listen, backends, mode",
		"select":  "known here: listen, backends, mode",
	} {
		if got := suggest(word, known); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
	if got, want := suggest("a", nil), "remove it"; got != want {
		t.Errorf("nothing known: got %q, want %q", got, want)
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "a", 0}, {"", "ab", 2}, {"ab", "", 2}, {"ab", "ba", 1},
		{"abc", "abd", 1}, {"abc", "bc", 1}, {"bc", "abc", 1}, {"abcd", "badc", 2}, {"a", "bcdefg", 5},
	} {
		if got := distance(tt.a, tt.b, 5); got != tt.want {
			t.Errorf("%q to %q: got %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
	if diff := cmp.Diff(3, distance("a", "abcdefgh", 3)); diff != "" {
		t.Errorf("at the limit (-want +got):\n%s", diff)
	}
}
