package node

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/internal/control"
	"sluice/internal/node/clusterkey"
	"sluice/internal/node/store"
)

// clustered is a node by the settings of a pair with a signed cluster, one that is
// none of its business, and one without a second gateway.
func clustered(t *testing.T, keyFile string) (*node, *running) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sluice.yaml")
	text := fmt.Sprintf(`node: {name: gw-a}
nodes:
  gw-a: {hb: 169.254.1.1}
  gw-b: {hb: 169.254.1.0}
  gw-c: {}
  gw-d: {}
dataplane: {watchdog: 4s}
virtual_clusters:
  - name: edge
    vrid: 51
    priority: {gw-a: 200, gw-b: 100}
    auth: {mode: enforce, keys: [{id: 7, file: %s}]}
    heartbeat: {interface: hb0, addr: "${hb}"}
    vips: [{addr: 192.0.2.3/24, interface: ext0}, {addr: "2001:db8::3/64", interface: ext0}]
  - name: theirs
    vrid: 52
    priority: {gw-c: 200, gw-d: 100}
    vips: [{addr: 192.0.2.4/24, interface: ext0}]
  - name: alone
    vrid: 53
    priority: {gw-a: 100}
    vips: [{addr: 192.0.2.5/24, interface: ext0}]
services:
  - {name: own, listen: "192.0.2.3:22", mode: sshd}
`, keyFile)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := clusterkey.LoadOrCreate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &node{self: s.Node, key: key}, &running{choice: choice{settings: s}, generation: store.Generation{Number: 9}}
}

const advertSecret = "an advert key of 32 bytes, 012345"

func writeKey(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPlanOf(t *testing.T) {
	n, r := clustered(t, writeKey(t, advertSecret+"\n"))
	p, err := n.planOf(r)
	if err != nil {
		t.Fatal(err)
	}
	if p.Node != "gw-a" || p.Generation != 9 || p.Watchdog != 4*time.Second || !p.Steers || p.Version != control.ThisBuild().Version || len(p.Clusters) != 2 {
		t.Errorf("%+v", p)
	}
	edge, alone := p.Clusters[0], p.Clusters[1]
	if edge.Name != "edge" || len(edge.AdvertKeys) != 1 || len(edge.Peers) != 1 || alone.Name != "alone" || len(alone.AdvertKeys) != 0 {
		t.Errorf("%+v", p.Clusters)
	}
	if shown := fmt.Sprintf("%+v %v %q", p, edge, edge.AdvertKeys); strings.Contains(shown, advertSecret) {
		t.Error("the plan shows its key")
	}
	// Gateways with the same cluster key have the same key for a cluster, and another
	// for each.
	again, err := n.planOf(r)
	if err != nil {
		t.Fatal(err)
	}
	bytes := func(i int) string {
		text, err := again.Clusters[i].HeartbeatKey.GobEncode()
		if err != nil || len(text) != 32 {
			t.Fatalf("%d bytes, %v", len(text), err)
		}
		return string(text)
	}
	if bytes(0) == bytes(1) || bytes(0) != string(n.key.Heartbeat("edge")) {
		t.Error("the heartbeat key is not the cluster's")
	}
	secret, err := again.Clusters[0].AdvertKeys[7].GobEncode()
	if err != nil || string(secret) != advertSecret {
		t.Errorf("advert key %q, %v", secret, err)
	}
	r.settings.Services = nil
	if p, err := n.planOf(r); err != nil || p.Steers {
		t.Errorf("without services: %v, %v", p.Steers, err)
	}
}

// A key file that is none is said with cluster and key, and without what is in it.
func TestPlanOfBadKeys(t *testing.T) {
	for name, path := range map[string]string{
		"short": writeKey(t, "a secret too short"), "long": writeKey(t, strings.Repeat("secret ", 200)),
		"hex": writeKey(t, "hex:secret"), "empty": writeKey(t, ""), "absent": "/absent/key", "directory": t.TempDir(),
	} {
		n, r := clustered(t, path)
		_, err := n.planOf(r)
		if err == nil || !strings.HasPrefix(err.Error(), `virtual cluster "edge": key 7: `) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestElected(t *testing.T) {
	_, r := clustered(t, "/k")
	want := []netip.Addr{netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("2001:db8::3"), netip.MustParseAddr("192.0.2.5")}
	if got := elected(r.settings); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if !hasClusters(r.settings) {
		t.Error("no clusters")
	}
	r.settings.VirtualClusters = r.settings.VirtualClusters[1:2]
	if got := elected(r.settings); hasClusters(r.settings) || len(got) != 0 {
		t.Errorf("the cluster of others counts: %v", got)
	}
}

// A node whose dataplane is away cannot serve; one that steers nothing has none.
func TestHealthOfANode(t *testing.T) {
	n, r := clustered(t, "/k")
	h := n.health(r)
	if len(h.Faults) != 1 || !strings.Contains(h.Faults[0], "dataplane") || !h.Synced["alone"] {
		t.Errorf("%+v", h)
	}
	r.settings.Services = nil
	if h := n.health(r); len(h.Faults) != 0 || !h.Synced["alone"] {
		t.Errorf("without services: %+v", h)
	}
}

func TestVIPAlarm(t *testing.T) {
	if vipAlarm(nil) != nil {
		t.Error("an alarm about nothing")
	}
	if a := vipAlarm(errors.New("boom")); a.Severity != critical || a.Text != "boom" || a.Hint == "" {
		t.Errorf("%+v", a)
	}
}
