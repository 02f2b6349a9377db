package metrics

import (
	"context"
	"errors"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"sluice/internal/control"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is a node at a certain moment.
type source struct {
	status   control.Status
	services []control.Service
	backends []control.Backend
	drops    []control.Drop
	clusters []control.VirtualCluster
	err      error
	// clustersErr fails the reading of virtual clusters alone.
	clustersErr error
}

func (s source) Status(context.Context) (control.Status, error)      { return s.status, nil }
func (s source) Services(context.Context) ([]control.Service, error) { return s.services, s.err }
func (s source) Backends(context.Context) ([]control.Backend, error) { return s.backends, nil }
func (s source) Drops(context.Context) ([]control.Drop, error)       { return s.drops, nil }

func (s source) VirtualClusters(context.Context) ([]control.VirtualCluster, error) {
	return s.clusters, s.clustersErr
}

var at = time.Unix(1_700_000_000, 0)

// busy has a different number in every place.
var busy = source{
	status: control.Status{
		Build:       control.Build{Version: "v1", Commit: "abc", Go: "go1.26"},
		StartedAt:   at,
		Attachments: []control.Attachment{{Interface: "ext0", Mode: "native", Driver: "veth"}},
		Decap:       []control.DecapVerdict{{Verdict: "done", Packets: 11, Bytes: 12}, {Verdict: "untrusted", Packets: 13, Bytes: 14}},
		Totals:      control.Totals{FlowsNow: 101, FlowsMax: 102},
		Alarms:      []control.Alarm{{Severity: "warning"}, {Severity: "critical"}, {Severity: "warning"}},
		Settings: control.SettingsState{
			Generation: 47, FileIsBehind: true,
			LastReload: &control.Reload{At: at.Add(90 * time.Second), OK: false},
		},
	},
	services: []control.Service{{
		Name: "login", Listen: netip.MustParseAddrPort("192.0.2.3:22"), Mode: "nat", ClientAddress: "hide", RingEntries: 65537, RingInDoubt: 3, RingMoved: 1, RingPending: 2,
		PacketsIn: 1, PacketsOut: 2, BytesIn: 3, BytesOut: 4, FlowsOpened: 5, FlowsNow: 6, SYNs: 7,
		Refused: 8, FlowsUnprotected: 9, NoReturnPath: 10, ICMPErrors: 11,
		Backends: []control.ServiceMember{{Name: "blue", Weight: 11}},
	}},
	backends: []control.Backend{{
		Name: "blue", Addr: netip.MustParseAddrPort("[fd00::1]:22"), State: control.StateDraining, Health: "passing",
		PacketsIn: 12, PacketsOut: 13, BytesIn: 14, BytesOut: 15, FlowsOpened: 16, FlowsNow: 17, SYNs: 18, Resets: 19,
	}},
	drops: []control.Drop{{Reason: "no_backend", Packets: 20, Bytes: 21}},
	clusters: []control.VirtualCluster{
		{
			Name: "edge", State: control.VIPActive, Since: at.Add(time.Minute), Term: 22, Priority: control.Priority{Base: 150, Effective: 130}, Eligible: true,
			Changes: control.Counts{"peer_silent": 23, "resigned": 24},
			VIPs:    []control.VIP{{Addr: netip.MustParsePrefix("192.0.2.3/32"), Interface: "ext0", Owner: true}},
			Peers: []control.GatewayPeer{{Node: "gw-b", State: control.VIPBackup, Alive: true, Age: control.Seconds(25 * time.Millisecond),
				HearsUs: true, LossIn: 0.26, LossOut: 0.27, Synced: true}},
			Segments: []control.Segment{{Interface: "ext0", Family: "ipv4", AdvertsIn: 28, AdvertsOut: 29, Refused: control.Counts{"bad_ttl": 30}}},
			Pings: []control.PingItem{
				{Interface: "ext0", OK: true, Hosts: []control.PingHost{{Addr: netip.MustParseAddr("198.51.100.22"), OK: true, RTT: control.Seconds(31 * time.Millisecond)}}},
				{Interface: "ext0", Hosts: []control.PingHost{{Addr: netip.MustParseAddr("198.51.100.22"), RTT: control.Seconds(32 * time.Millisecond)}}},
			},
			Links:  []control.Link{{Interface: "ext0", Up: true}},
			Sync:   []control.FlowSync{{Peer: "gw-b", Direction: "out", State: "synced", Lag: control.Seconds(33 * time.Millisecond), Flows: 34, Resyncs: 35}},
			Alarms: []control.ClusterAlarm{{Name: "one_way"}, {Name: "two_active", Severity: "critical"}, {Name: "one_way"}},
		},
		// A second cluster of the same two gateways has the same stream.
		{Name: "lab", State: control.VIPFault, Sync: []control.FlowSync{
			{Peer: "gw-b", Direction: "out", State: "synced", Lag: control.Seconds(33 * time.Millisecond), Flows: 34, Resyncs: 35},
			{Peer: "gw-b", Direction: "in", State: "snapshot", Flows: 36},
		}},
	},
}

// scrape returns what our metrics read as, without those of Go and process.
func scrape(t *testing.T, s source) (string, error) {
	t.Helper()
	r := NewRegistry(s, s)
	_, err := r.Gather()
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}).
		ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	var text strings.Builder
	for line := range strings.Lines(answer.Body.String()) {
		if strings.HasPrefix(strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE "), "sluice_") {
			text.WriteString(line)
		}
	}
	return text.String(), err
}

// Whole series against the file: a renamed metric breaks dashboards, so it has
// to be seen here.
func TestScrapeAsAWhole(t *testing.T) {
	got, err := scrape(t, busy)
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/busy.txt"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("metrics differ from %s (-want +got), UPDATE=1 writes it:\n%s", golden, diff)
	}
}

func TestNamesFollowTheConventions(t *testing.T) {
	families, err := NewRegistry(busy, busy).Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Every description is used, and nothing is shown that was not described.
func TestDescriptionsAreComplete(t *testing.T) {
	c := &collector{source: busy, clusters: busy}
	described := make(chan *prometheus.Desc, 1000)
	c.Describe(described)
	close(described)
	unused := map[*prometheus.Desc]bool{}
	for d := range described {
		unused[d] = true
	}
	shown := make(chan prometheus.Metric, 1000)
	c.Collect(shown)
	close(shown)
	known := len(unused)
	for m := range shown {
		delete(unused, m.Desc())
	}
	if known == 0 || len(unused) != 0 {
		t.Errorf("%d of %d descriptions are never shown: %v", len(unused), known, unused)
	}
}

// One repeated series would make Prometheus lose all of them.
func TestServiceOfTheSameNameAndMode(t *testing.T) {
	twice := busy
	removed := busy.services[0]
	removed.Removed, removed.PacketsIn = true, 999
	changed := removed
	changed.Mode = "dsr"
	twice.services = []control.Service{busy.services[0], removed, changed}
	text, err := scrape(t, twice)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(text, "sluice_service_packets_total{"); n != 4 {
		t.Errorf("%d series of two services, each in and out:\n%s", n, text)
	}
}

func TestProcessAndGoAreShown(t *testing.T) {
	families, err := NewRegistry(busy, busy).Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
	}
	for _, name := range []string{"go_goroutines", "process_open_fds"} {
		if !names[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

// What cannot be read must not look like zero, and what can is still shown.
func TestUnreadablePartIsMissing(t *testing.T) {
	broken := busy
	broken.err = errors.New("maps are closed")
	text, err := scrape(t, broken)
	if err == nil || !strings.Contains(err.Error(), "maps are closed") {
		t.Errorf("gathering said %v", err)
	}
	if strings.Contains(text, "sluice_service_packets_total") {
		t.Error("the unreadable part is shown")
	}
	if !strings.Contains(text, "sluice_backend_packets_total") {
		t.Error("the readable part is not shown")
	}
}

// A vip process that does not answer is no reason to show nothing, and its state
// must not look like none.
func TestUnreadableClustersAreMissing(t *testing.T) {
	broken := busy
	broken.clustersErr = errors.New("vip.sock: connection refused")
	text, err := scrape(t, broken)
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("gathering said %v", err)
	}
	if strings.Contains(text, "sluice_vip_state") || !strings.Contains(text, "sluice_backend_packets_total") {
		t.Errorf("shown:\n%s", text)
	}
}

func TestNodeWithoutClusters(t *testing.T) {
	r := NewRegistry(busy, nil)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "sluice_vip_") || strings.HasPrefix(f.GetName(), "sluice_flow_sync_") {
			t.Errorf("%s is shown", f.GetName())
		}
	}
}

func TestNothingIsShownOfAnEmptyNode(t *testing.T) {
	text, err := scrape(t, source{})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "reload") {
		t.Error("a reload is shown before there was one")
	}
}
