package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/nettest"
)

// The two ends of the scale: handed over, and gone without a word.
func TestFailover(t *testing.T) {
	nettest.Require(t, nettest.Program("keepalived"), nettest.Program("haproxy"), nettest.Program("ping"))
	a := bench(t, "failover", "--json", "--runs", "2", "--intervals", "100ms", "--cases", "graceful,poweroff",
		"--contenders", keepalivedName, "--connections", "4")
	for _, name := range []string{"graceful", "poweroff"} {
		r := a.find(t, map[string]any{"case": name, "contender": keepalivedName, "interval_ms": 100.0})
		positive(t, r, "blackout_ms", "adverts", "heal_blackout_ms")
		for figure, want := range map[string]float64{
			"per_keepalived": 1, "returned": 1, "moved": 1, "owners": 1, "heal_returned": 1, "heal_owners": 1,
			"connections_lost": 4, // they ended at the gateway that went
		} {
			if r[figure] != want {
				t.Errorf("%s: %s is %v, want %v", name, figure, r[figure], want)
			}
		}
		if s, _ := r["samples"].(map[string]any)["blackout_ms"].([]any); len(s) != 2 {
			t.Errorf("%s: samples %v, want 2", name, s)
		}
	}
}

func TestTableFailover(t *testing.T) {
	subjects := []trial{
		{contender: keepalived{}, fault: faults[0], interval: time.Second},
		{contender: ours{}, fault: faults[0], interval: time.Second},
		{contender: keepalived{}, fault: faults[1], interval: time.Second},
		{contender: ours{}, fault: faults[1], interval: time.Second},
		{contender: ours{}, fault: faults[1], interval: 2 * time.Second},
	}
	of := func(ms ...int) (all []outcome) {
		for i, m := range ms {
			all = append(all, outcome{blackout: time.Duration(m) * time.Millisecond, returned: float64(i % 2)})
		}
		return all
	}
	table := tableFailover(subjects, [][]outcome{of(100, 200), of(50, 200), of(0, 100), of(10, 10), of(10, 10)}, 20)
	for i, want := range []float64{1, 0.75, math.NaN(), math.NaN(), math.NaN()} {
		got := math.NaN()
		if f, ok := table.Rows[i].Figure("per_keepalived"); ok {
			got = f.Median()
		}
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("row %d: ratio %v, want %v", i, got, want)
		}
	}
	if notes := strings.Join(table.Notes, "\n"); strings.Contains(notes, "were lost") {
		t.Errorf("nothing was lost, but: %s", notes)
	}
	cut := tableFailover(subjects[:2], [][]outcome{{{lost: 1, why: "of old age"}}, {{}, {lost: 2, why: "session 3: EOF"}}}, 20)
	if notes := strings.Join(cut.Notes, "\n"); !strings.Contains(notes, "sluice, graceful at 1s: connections were lost, the first by: session 3: EOF") || strings.Contains(notes, "old age") {
		t.Errorf("what was lost is told as: %s", notes)
	}
	if f, _ := table.Rows[0].Figure("returned"); f.Median() != 0.5 {
		t.Errorf("one of two returned, the share is %v", f.Median())
	}
	if f, _ := table.Rows[0].Figure("adverts"); math.Abs(f.Median()-0.15) > 1e-9 {
		t.Errorf("0.1 s and 0.2 s are %v adverts of 1 s", f.Median())
	}
}

func TestTakesPart(t *testing.T) {
	for answer, want := range map[string]string{
		`{"virtual_clusters":[{"name":"edge","state":"active","sync":[{"peer":"gw-b","state":"connecting"}]}]}`:                   "",
		`{"virtual_clusters":[{"name":"edge","state":"backup","sync":[{"peer":"gw-a","direction":"in","state":"synced"}]}]}`:      "",
		`{"virtual_clusters":[{"name":"edge","state":"backup","sync":[{"peer":"gw-a","direction":"in","state":"snapshot"}]}]}`:    "edge has not all flows",
		`{"virtual_clusters":[{"name":"edge","state":"backup"}]}`:                                                                 "edge has not all flows",
		`{"virtual_clusters":[{"name":"edge","state":"backup","sync":[{"peer":"gw-a","direction":"out","state":"synced"}]}]}`:     "edge has not all flows",
		`{"virtual_clusters":[{"name":"edge","state":"active"},{"name":"inner","state":"fault","reason":"int0 has no carrier"}]}`: `inner is "fault": int0 has no carrier`,
		`{"virtual_clusters":[]}`: "no virtual cluster",
		`{`:                       "read VIPs",
	} {
		err := takesPart([]byte(answer))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", answer, err, want)
		}
	}
}

// What both contenders are told must be the same election.
func TestFailoverSettingsAgree(t *testing.T) {
	tr := &trial{interval: 50 * time.Millisecond, cluster: nettest.ClusterForTest(t, nettest.ClusterOptions{Backends: 2})}
	for i, g := range tr.cluster.Gateways {
		tr.sides = append(tr.sides, &side{ClusterGateway: g, trial: tr, number: i, dir: filepath.Join(t.TempDir())})
	}
	for _, c := range []struct {
		write func(*side) (string, error)
		want  [2][]string // of the first and the second gateway
	}{
		{keepalived{}.settings, [2][]string{
			{"state MASTER", "priority 150", "advert_int 0.05\n", "virtual_router_id 51", "192.0.2.3/24", "10.0.2.3/24", "group { ext0 int0 }"},
			{"state BACKUP", "priority 100"},
		}},
		{keepalived{vmac: true}.settings, [2][]string{{"use_vmac vrrp.51", "use_vmac vrrp.52"}, {"use_vmac vrrp.51"}}},
		{ours{mode: "nat", clientAddress: "hide"}.settings, [2][]string{
			{"name: gw-a", "priority: {gw-a: 150, gw-b: 100}", "advert_interval: 50ms", "source_pool: [10.0.2.3]", `backends: ["10.0.2.11:22", "10.0.2.12:22"]`},
			{"name: gw-b", "gw-b: {ext_addr: 192.0.2.2, int_addr: 10.0.2.2, heartbeat_addr: 169.254.1.0}"},
		}},
	} {
		for i, s := range tr.sides {
			text := written(t, c.write, s)
			for _, w := range c.want[i] {
				if !strings.Contains(text, w) {
					t.Errorf("%s lacks %q:\n%s", s.Label, w, text)
				}
			}
		}
	}
}

// written are the settings as they are on disk.
func written(t *testing.T, write func(*side) (string, error), s *side) string {
	t.Helper()
	path, err := write(s)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
