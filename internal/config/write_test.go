package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRoundTrip holds that settings written as YAML or JSON are read back
// equal.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(300) {
		want := newGenerator(seed).settings()
		text := want.YAML()
		got, err := Parse("f.yaml", text)
		if err != nil {
			t.Fatalf("seed %d:\n%s\n%v", seed, text, err)
		}
		if !reflect.DeepEqual(normal(got), normal(want)) {
			t.Fatalf("seed %d: wrote\n%s\nand read\n%s", seed, text, got.YAML())
		}

		asJSON, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err = Parse("f.json", asJSON); err != nil || !reflect.DeepEqual(normal(got), normal(want)) {
			t.Fatalf("seed %d: wrote\n%s\nand read %v", seed, asJSON, err)
		}
	}
}

// normal makes nil of empty variables: files know no difference.
func normal(s *Settings) *Settings {
	for node, values := range s.Nodes {
		if len(values) == 0 {
			s.Nodes[node] = nil
		}
	}
	return s
}

func TestYAML(t *testing.T) {
	s := mustParse(t, `
node: {name: gw-a}
nodes: {gw-a: {a: eth0, b: "no"}}
dataplane: {interfaces: ["${a}", "$${b}"]}
services:
- {listen: "192.0.2.3:22", mode: sshd}
- {listen: "[2001:db8::3]:22", name: six, client_address: keep, backends: ["[2001:db8::11]"], last_resort: draining}
`)
	const want = `node:
  name: gw-a
  data_dir: /var/lib/sluice
  bpffs: /sys/fs/bpf/sluice
  control: {socket: /run/sluice/control.sock}
  user: sluice
nodes:
  gw-a: {a: eth0, b: "no"}
dataplane:
  interfaces: [eth0, "$${b}"]
  xdp: auto
  max_flows: 262144
  lifetimes: {established: 120h, half_closed: 2m, closed: 10s, embryo: 1m}
  watchdog: 1m
guard: {challenge: auto}
services:
  - {name: "192.0.2.3:22", listen: "192.0.2.3:22", mode: sshd}
  - name: six
    listen: "[2001:db8::3]:22"
    mode: nat
    client_address: keep
    select: hash
    backends:
      - {name: "[2001:db8::11]:22", addr: "[2001:db8::11]:22", weight: 1}
    health_check: {type: ssh, interval: 2s, timeout: 1s, rise: 2, fall: 3}
    last_resort: draining
    on_down: keep
`
	if diff := cmp.Diff(want, string(s.YAML())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWriteTree writes trees that settings do not have yet.
func TestWriteTree(t *testing.T) {
	for text, want := range map[string]string{
		"[]":                                 "[]\n",
		"{}":                                 "{}\n",
		"{a: {b: [{c: d}, [e]]}}":            "a:\n  b:\n    - {c: d}\n    - [e]\n",
		"[[[a], {b: [c]}], {d: [{e: f}]}]":   "- - [a]\n  - b: [c]\n- d:\n    - {e: f}\n",
		"{a: [], b: {}, c: [{}, []]}":        "a: []\nb: {}\nc:\n  - {}\n  - []\n",
		`{"a b": "", "null": "c: d", e: 1}`:  `{"a b": "", "null": "c: d", e: 1}` + "\n",
		`["1", 1, "on", "2s", "a.b", "-a"]`:  `["1", 1, "on", 2s, a.b, "-a"]` + "\n",
		`["\0\x7f\u00a0\U0001F600\u2028\e"]`: `["\x00\x7f\u00a0😀\u2028\x1b"]` + "\n",
	} {
		n, fault := read(text)
		if fault != nil {
			t.Fatalf("%s: %v", text, fault)
		}
		got := string(write(n))
		if got != want {
			t.Errorf("%s: got\n%swant\n%s", text, got, want)
		}
		back, fault := read(got)
		if fault != nil || dump(back) != dump(n) {
			t.Errorf("%s: read back as %s, %v", text, dump(back), fault)
		}
	}
}

// TestQuoteEveryCharacter writes each character on its own and amid letters.
func TestQuoteEveryCharacter(t *testing.T) {
	for c := range rune(0x3000) {
		for _, text := range []string{string(c), "a" + string(c) + "b", "a" + string(c), string(c) + "b"} {
			written := inline(&node{kind: kindList, items: []*node{textNode(text), textNode(text)}})
			n, fault := read(written)
			if want := fmt.Sprintf("[%q, %q]", text, text); fault != nil || dump(n) != want {
				t.Fatalf("wrote %q as %s and read %s, %v", text, written, dump(n), fault)
			}
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for in, want := range map[string]string{
		"0s": "0s", "10s": "10s", "1m0s": "1m", "1m10s": "1m10s", "1h0m0s": "1h", "120h": "120h",
		"1h1m": "1h1m", "1h0m1s": "1h0m1s", "1500ms": "1.5s", "20m": "20m", "100ms": "100ms",
	} {
		d, problem, _ := duration(0, 1<<62).parse(in)
		if got := formatDuration(d); problem != "" || got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
		if !bare.MatchString(want) && !strings.Contains(want, ".") {
			t.Errorf("%s would be quoted", want)
		}
	}
}

// TestMarshalJSON holds that scripts see the keys of the file, in its order,
// and numbers as numbers.
func TestMarshalJSON(t *testing.T) {
	s := mustParse(t, `
node: {name: gw-a}
dataplane: {interfaces: [eth0]}
services: [{name: "192.0.2.3:22", listen: "192.0.2.3:22", mode: sshd}]`)
	got, err := json.Marshal(map[string]any{"settings": s})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"settings":{` +
		`"node":{"name":"gw-a","data_dir":"/var/lib/sluice","bpffs":"/sys/fs/bpf/sluice",` +
		`"control":{"socket":"/run/sluice/control.sock"},"user":"sluice"},` +
		`"dataplane":{"interfaces":["eth0"],"xdp":"auto","max_flows":262144,` +
		`"lifetimes":{"established":"120h","half_closed":"2m","closed":"10s","embryo":"1m"},"watchdog":"1m"},"guard":{"challenge":"auto"},` +
		`"services":[{"name":"192.0.2.3:22","listen":"192.0.2.3:22","mode":"sshd"}]}}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestNodeMarshalJSON writes what settings do not have: what is empty, deep or
// in need of escapes.
func TestNodeMarshalJSON(t *testing.T) {
	for text, want := range map[string]string{
		"[]":                  `[]`,
		"{}":                  `{}`,
		"[[], {}, [[1]]]":     `[[],{},[[1]]]`,
		`{b: 1, a: {c: [d]}}`: `{"b":1,"a":{"c":["d"]}}`,
		`["\"\n\\", -5]`:      `["\"\n\\",-5]`,
	} {
		n, fault := read(text)
		if fault != nil {
			t.Fatal(fault)
		}
		if got, err := n.MarshalJSON(); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
}
