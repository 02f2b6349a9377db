package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/nettest"
	"sluice/loader"
)

type answer struct {
	Rows []map[string]any `json:"rows"`
}

// bench runs the program and decodes its --json answer.
func bench(t *testing.T, args ...string) answer {
	t.Helper()
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF)
	var out, complaint bytes.Buffer
	if code := run(append([]string{"bench"}, args...), &out, &complaint); code != 0 {
		t.Fatalf("bench %q: exit code %d: %s", args, code, complaint.String())
	}
	var a answer
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return a
}

// find returns the row in which something was varied so.
func (a answer) find(t *testing.T, want map[string]any) map[string]any {
	t.Helper()
rows:
	for _, r := range a.Rows {
		for k, v := range want {
			if r[k] != v {
				continue rows
			}
		}
		return r
	}
	t.Fatalf("no row with %v in %v", want, a.Rows)
	return nil
}

func positive(t *testing.T, row map[string]any, names ...string) {
	t.Helper()
	for _, n := range names {
		if v, ok := row[n].(float64); !ok || v <= 0 {
			t.Errorf("%s is %v in %v", n, row[n], row)
		}
	}
}

func TestXDP(t *testing.T) {
	plot := filepath.Join(t.TempDir(), "x.svg")
	a := bench(t, "xdp", "--json", "--runs", "2", "--flows", "100", "--frames", "3000", "--guard", "empty", "--guard", "on", "--svg", plot)
	for _, mode := range modeNames {
		for _, guard := range []string{"empty", "on"} {
			r := a.find(t, map[string]any{"mode": mode, "packets": "data", "flows": 100.0, "guard": guard})
			positive(t, r, "ns", "per_floor")
			if r["ring_in_doubt"] != inService {
				t.Errorf("%s: share of the ring in doubt %v, want %v", mode, r["ring_in_doubt"], inService)
			}
			if r["entries"] != 100.0 {
				t.Errorf("%s: %v flows have an entry, 100 were made", mode, r["entries"])
			}
			if s, _ := r["samples"].(map[string]any)["ns"].([]any); len(s) != 2 {
				t.Errorf("%s: samples %v, want 2", mode, s)
			}
		}
		positive(t, a.find(t, map[string]any{"mode": mode, "packets": "syn"}), "ns", "per_floor")
	}
	if r := a.find(t, map[string]any{"mode": "floor"}); r["per_floor"] != 1.0 {
		t.Errorf("the floor costs %v of itself", r["per_floor"])
	}
	if b, err := os.ReadFile(plot); err != nil || !bytes.Contains(b, []byte("<svg")) {
		t.Errorf("no plot: %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(siteDir, sitePrefix+"*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// More services than one: the flows are spread over them, and each has its own.
func TestManyServices(t *testing.T) {
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF)
	r, err := newRig()
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	g, err := r.gateway(shape{"nat hide", 640, 4, 16, guardEmpty, false})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.establish(t.Context()); err != nil {
		t.Fatal(err)
	}
	flows := map[loader.ServiceID]int{}
	err = g.dp.Scan(t.Context(), func(f loader.Flow) bool {
		flows[f.Service]++
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	for id := range loader.ServiceID(16) {
		if flows[id] != 40 {
			t.Errorf("service %d has %d flows, want 40", id, flows[id])
		}
	}
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"nonsense", `no benchmark "nonsense"`},
		{"xdp --mode dsrr", `--mode "dsrr"`},
		{"xdp --flows 0", "--flows 0"},
		{"xdp --guard off", `--guard "off"`},
		{"xdp --runs 0", "--runs 0"},
		{"xdp --frames 0", "--frames 0"},
		{"xdp --what", "-what"},
	} {
		var out, complaint bytes.Buffer
		if code := run(strings.Fields("bench "+tt.args), &out, &complaint); code != 2 {
			t.Errorf("bench %s: exit code %d", tt.args, code)
		}
		if !strings.Contains(complaint.String(), tt.want) {
			t.Errorf("bench %s: %q lacks %q", tt.args, complaint.String(), tt.want)
		}
	}
}
