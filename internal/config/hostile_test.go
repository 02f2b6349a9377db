package config

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// hostile is a file made to take long: head, as many bodies as wanted, tail.
type hostile struct{ name, head, body, tail string }

func (h hostile) text(size int) []byte {
	return []byte(h.head + strings.Repeat(h.body, (size-len(h.head)-len(h.tail))/len(h.body)) + h.tail)
}

// hostiles are what costs some readers of YAML minutes or their stack.
var hostiles = []hostile{
	{"open lists", "", "[", ""},
	{"open mappings", "", "{a: ", ""},
	{"closing brackets", "", "]", ""},
	{"closed lists", "a: [", "[],", "]"},
	{"nested dashes", "", "- ", ""},
	{"empty items", "", "-\n", ""},
	{"deeper and deeper", "", "a:\n ", ""},
	{"colons", "a", ": ", ""},
	{"commas", "[", ",", "]"},
	{"equal keys", "", "a: 1\n", ""},
	{"unknown keys in braces", "{", "a: b,", "}"},
	{"keys alone", "{", "a,", "}"},
	{"services", "services: [", "{},", "]"},
	{"virtual clusters", "nodes: {gw-a: {a: 10.0.0.1}, gw-b: {a: 10.0.0.2}}\nvirtual_clusters: [", "{priority: {gw-a: 1, gw-b: 1}, heartbeat: {addr: '${a}'}, addrs: [{addr: '${a}'}]},", "]"},
	{"virtual addresses", "virtual_clusters: [{vips: [", "{addr: 192.0.2.3}, ", "]}]"},
	{"backends", "services: [{listen: '192.0.2.3:22', backends: [", "1,", "]}]"},
	{"variables", "nodes: {gw-a: {a: " + strings.Repeat("x", 255) + "}}\ndataplane: {xdp: \"", "${a}", "\"}"},
	{"unknown variables", "nodes: {gw-a: {a: b}}\ndataplane: {interfaces: [", "\"${b}\",", "]}"},
	{"one long key", "", "a", ": 1"},
	{"one long number", "dataplane: {max_flows: ", "1", "}"},
	{"one long address", "services: [{listen: '", "1.", "'}]"},
	{"one long path", "node: {data_dir: ", "/a/..", "}"},
	{"escapes", "node: {name: \"", `\x41`, "\"}"},
	{"tabs in quotes", "node: {name: \"", "\ta", "\"}"},
	{"single quotes", "node: {name: '", "''", "'}"},
	{"blank lines", "node:\n", "\r\n", ""},
	{"blank lines in text block", "node: |\n ", " \n", ""},
	{"comments", "", "#\n", ""},
	{"spaces", "", " ", ""},
	{"anchors", "node: [", "&a *a ", "]"},
	{"nodes", "nodes: {", "a: {b: c},", "}"},
	{"nested lists and mappings", "", "{[", ""},
	{"nested keys with question mark", "", "? ", ""},
	{"keys with question mark", "", "? a\n", ""},
	{"long lines of text", "node:\n", "  name: " + strings.Repeat("x", 8000) + "\n", ""},
	{"text over lines", "node: ", "a\n ", ""},
	{"comments behind items", "", "- a #b\n  #c\n", ""},
	{"comments in brackets", "[", "a, #b\n", "]"},
	{"tags", "node: [", "!a b,", "]"},
	{"documents", "", "---\n", ""},
	{"aliases of aliases", "", "- &a [*a, *a]\n", ""},
}

// TestHostileText holds that eight times the text takes about eight times as
// long: where the time grows with the square, no attempt stays below twenty.
func TestHostileText(t *testing.T) {
	for _, tt := range hostiles {
		t.Run(tt.name, func(t *testing.T) {
			ratio := 0.0
			for range 8 {
				ratio = float64(parseTime(t, tt.text(1<<17))) / float64(parseTime(t, tt.text(1<<14)))
				if ratio < 20 {
					return
				}
			}
			t.Errorf("eight times the text takes %.0f times as long", ratio)
		})
	}
}

// TestHostileBound holds that none of them stops a gateway for long. The limit
// leaves room for a slow machine and the race detector.
func TestHostileBound(t *testing.T) {
	for _, tt := range hostiles {
		t.Run(tt.name, func(t *testing.T) {
			took := time.Hour
			for range 3 { // whatever else runs here may take one
				if took = min(took, parseTime(t, tt.text(80_000))); took < 5*time.Second {
					return
				}
			}
			t.Errorf("80 kB take %v", took)
		})
	}
}

// parseTime is how long it takes to refuse a text.
func parseTime(t *testing.T, text []byte) time.Duration {
	t.Helper()
	start := time.Now()
	_, err := Parse("f.yaml", text, Hostname("gw-a"))
	took := time.Since(start)
	if err == nil {
		t.Fatal("accepted")
	}
	if message := err.Error(); len(message) > 1<<17 {
		t.Fatalf("the error has %d bytes: %.200s", len(message), message)
	}
	return took
}

// TestHostileMemory holds that many small values need memory in proportion.
func TestHostileMemory(t *testing.T) {
	const size = 1 << 17
	data := hostile{head: "[", body: "[],", tail: "]"}.text(size)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Parse("f.yaml", data); err == nil {
		t.Fatal("a list of lists is taken for settings")
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 512*size {
		t.Errorf("%d bytes allocated for %d of text", allocated, size)
	}
}

// TestLargest reads the largest settings that are allowed.
func TestLargest(t *testing.T) {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range 4 {
		fmt.Fprintf(&b, "- name: s%d\n  listen: 192.0.2.%d:22\n  backends:\n", i, i+1)
		for j := range MaxBackends {
			fmt.Fprintf(&b, "  - {name: node%05d, addr: 10.0.%d.%d, weight: 100}\n", j, j/256, j%256)
		}
	}
	s := mustParse(t, b.String())
	if got := len(s.Services[3].Backends); got != MaxBackends {
		t.Fatalf("%d backends, want %d", got, MaxBackends)
	}
	if got := s.Services[3].Backends[MaxBackends-1].Name; got != "node04095" {
		t.Errorf("the last backend is %s", got)
	}
}
