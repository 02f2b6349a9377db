package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/nettest"
	"sluice/loader"
)

// TestMain is the backend of a siege where one starts it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == backendName {
		os.Exit(run(os.Args, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

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
	measured := []string{"dsr", "gue", "nat proxy_v2"}
	a := bench(t, "xdp", "--json", "--mode", measured[0], "--mode", measured[1], "--mode", measured[2], "--runs", "2", "--flows", "100", "--frames", "3000", "--guard", "empty", "--guard", "on", "--svg", plot)
	for _, mode := range measured {
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
	// Who still has its lock is another run.
	all, _ := filepath.Glob(filepath.Join(siteDir, sitePrefix+"*"))
	for _, dir := range all {
		if lock, err := lockFolder(dir); err == nil {
			lock.Close()
			t.Errorf("left behind: %s", dir)
		}
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
		{"synflood --flows 0", "--flows 0"},
		{"synflood --mode gue", "--mode \"gue\""},
		{"synflood --lasts 0s", "--lasts 0s"},
		{"synflood --flows 1000000", "--flows 1000000"},
		{"ring --size 8", "--size \"8\""},
		{"ring --size 513x8", "1 to 512 services"},
		{"proxy --megabytes 0", "--megabytes"},
		{"failover --intervals 1s,5ms", "--intervals \"5ms\""},
		{"failover --cases poweroff,fire", "--cases \"fire\""},
		{"failover --contenders ucarp", "--contenders \"ucarp\""},
		{"failover --connections 1", "--connections 1"},
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

// The product must be built for it.
func TestProxy(t *testing.T) {
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF, nettest.Program("haproxy"), nettest.Program("nft"))
	sluice := filepath.Join(t.TempDir(), "sluice")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", sluice, "sluice/cmd/sluice").CombinedOutput(); err != nil {
		t.Fatalf("build sluice: %v: %s", err, out)
	}
	a := bench(t, "proxy", "--json", "--runs", "2", "--connections", "32", "--megabytes", "1", "--sluice", sluice)
	for _, w := range waysOf(sluice) {
		r := a.find(t, map[string]any{"way": w.name})
		positive(t, r, "connections_per_cpu_s", "per_haproxy_connection", "per_haproxy_gb")
		napi, _ := r["napi_s_per_gb"].(float64)
		if (napi > 0) == w.offloads {
			t.Errorf("%s: NAPI threads spent %v s a GB", w.name, napi)
		}
	}
	if r := a.find(t, map[string]any{"way": reference}); r["per_haproxy_connection"] != 1.0 || r["per_haproxy_gb"] != 1.0 {
		t.Errorf("HAProxy costs other than itself: %v", r)
	}
}

// A sum of what was spent is divided by what was done.
func TestTableProxy(t *testing.T) {
	all := []*forwarder{{way: way{name: "a"}}, {way: way{name: reference}}}
	c := [][]cost{{{1e-6, 3e-6}, {1e-6, 1e-6}, {1e-6, 2e-6}}, {{10e-6, 30e-6}, {10e-6, 10e-6}, {20e-6, 10e-6}}}
	r := tableProxy(all, c, c).Rows[0]
	for name, want := range map[string]float64{
		"connections_per_cpu_s": 1e6 / 3, "napi_us_per_connection": 1, "process_us_per_connection": 2, "per_haproxy_connection": 0.1,
		"napi_s_per_gb": 1000, "per_haproxy_gb": 0.1,
	} {
		f, ok := r.Figure(name)
		if !ok || math.Abs(f.Median()-want) > 1e-6*want {
			t.Errorf("%s is %v, want %v", name, f.Median(), want)
		}
	}
}

func TestSkipHeader(t *testing.T) {
	header := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + "123456789012"
	r := strings.NewReader(header + "rest")
	if err := skipHeader(r); err != nil || r.Len() != len("rest") {
		t.Errorf("%v, %d bytes left", err, r.Len())
	}
	if err := skipHeader(strings.NewReader("SSH-2.0-without a header")); err == nil {
		t.Error("took what is no header for one")
	}
}
