package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/nettest"
)

// idleCluster is one whose gateways run a program that does nothing.
func idleCluster(t *testing.T, o options) *cluster {
	t.Helper()
	network := nettest.ClusterForTest(t, nettest.ClusterOptions{Gateways: o.gateways, Backends: o.backends})
	o.sluice = filepath.Join(t.TempDir(), "sluice")
	if err := os.WriteFile(o.sluice, []byte("#!/bin/sh\nexec sleep 1000\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := &cluster{options: o, report: report{io.Discard}, network: network, site: &site{dir: t.TempDir()}}
	for _, g := range network.Gateways {
		n, err := c.newNode(g, clusterKey())
		if err != nil {
			t.Fatal(err)
		}
		c.nodes = append(c.nodes, n)
		if err := n.sluice.start(n.settings); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := n.stop(); err != nil {
				t.Error(err)
			}
		})
	}
	return c
}

// What a gateway is told: who it is, who the others are, and what they share.
func TestClusterSettings(t *testing.T) {
	needs(t)
	shared := map[string]string{}
	for _, tt := range []struct {
		options
		want, never []string
	}{
		{options{gateways: 2, backends: 4, mode: "nat", clientAddress: "hide"}, []string{
			"priority: {gw-a: 150, gw-b: 125}",
			`gw-b: {ext_addr: 192.0.2.2, int_addr: 10.0.2.2, ext6: "2001:db8:1::2", int6: "2001:db8:2::2", heartbeat_addr: 169.254.1.0}`,
			`- {addr: "2001:db8:1::3/64", interface: ext0}`, "- {addr: 10.0.2.3/24, interface: int0}",
			"hosts: [198.51.100.22]", "hosts: [10.0.2.11, 10.0.2.12, 10.0.2.13]}",
			`listen: "192.0.2.3:22"`, "client_address: hide", `source_pool: ["10.0.2.3"]`, `source_pool: ["2001:db8:2::3"]`,
			`{name: b4-v6, addr: "[2001:db8:2::14]:22"}`,
		}, []string{"gw-c", "10.0.2.14]}"}},
		{options{gateways: 3, backends: 2, mode: "nat", clientAddress: "keep"}, []string{
			"priority: {gw-a: 150, gw-b: 125, gw-c: 100}", "gw-c: {ext_addr: 192.0.2.4, int_addr: 10.0.2.4", "client_address: keep",
		}, []string{"source_pool"}},
		{options{gateways: 2, backends: 2, mode: "dsr", clientAddress: "hide"}, []string{"mode: dsr"}, []string{"source_pool", "client_address"}},
	} {
		network := nettest.ClusterForTest(t, nettest.ClusterOptions{Gateways: tt.gateways, Backends: tt.backends})
		c := &cluster{options: tt.options, network: network}
		c.name = "lab"
		clear(shared)
		for _, g := range network.Gateways {
			text, err := c.settingsOf(g, "/run/x/"+g.Label)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range append(tt.want, "name: "+g.Label+"\n", "data_dir: /run/x/"+g.Label+"/data") {
				if !strings.Contains(text, w) {
					t.Errorf("%s of %d, %s: no %q in\n%s", g.Label, tt.gateways, tt.mode, w, text)
				}
			}
			for _, w := range tt.never {
				if strings.Contains(text, w) {
					t.Errorf("%s of %d, %s: %q in\n%s", g.Label, tt.gateways, tt.mode, w, text)
				}
			}
			_, cluster, _ := strings.Cut(text, "\nnodes:")
			shared[cluster] = g.Label
		}
		if len(shared) != 1 {
			t.Errorf("what is the cluster's differs between gateways: %d versions", len(shared))
		}
	}
}

func TestParseOrder(t *testing.T) {
	for text, want := range map[string]order{
		"poweroff gw-a":        {"poweroff", "gw-a", "", nettest.BothWays},
		"restore gw-b":         {"restore", "gw-b", "", nettest.BothWays},
		"cable gw-a ext0":      {"cable", "gw-a", "ext0", nettest.BothWays},
		"silent gw-a int0":     {"silent", "gw-a", "int0", nettest.BothWays},
		"silent gw-a hb0 in":   {"silent", "gw-a", "hb0", nettest.Inbound},
		"silent gw-a hb0 out":  {"silent", "gw-a", "hb0", nettest.Outbound},
		"":                     {},
		"poweroff":             {},
		"poweroff gw-a ext0":   {},
		"cable gw-a":           {},
		"cable gw-a ext0 out":  {},
		"silent gw-a hb0 away": {},
		"burn gw-a":            {},
	} {
		got, err := parseOrder(strings.Fields(text))
		if (err != nil) != (want == order{}) || got != want {
			t.Errorf("%q is %+v (%v), want %+v", text, got, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), "poweroff|kill9") {
			t.Errorf("%q: the error %q does not say what is understood", text, err)
		}
	}
}

// carries says whether a gateway's link has a carrier.
func carries(t *testing.T, n *node, link string) bool {
	t.Helper()
	l, err := n.gateway.Netlink().LinkByName(link)
	if err != nil {
		t.Fatal(err)
	}
	return l.Attrs().OperState.String() == "up"
}

func running(n *node) bool {
	select {
	case <-n.sluice.ended:
		return false
	default:
		return true
	}
}

// Orders come by the socket, as "lab fault" sends them.
func TestOrdersAreObeyed(t *testing.T) {
	needs(t)
	c := idleCluster(t, options{name: "x", gateways: 2, backends: 2, mode: "nat", clientAddress: "hide"})
	var said bytes.Buffer
	c.report = report{&said}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- c.takeOrders(ctx) }()
	socket := c.site.file(ordersName)
	await(t, "the socket", func() bool { _, err := os.Stat(socket); return err == nil })
	send := func(text string) (string, error) { return sendOrder(socket, strings.Fields(text)) }

	a, b := c.nodes[0], c.nodes[1]
	if got, err := send("cable gw-a ext0"); err != nil || got != "ext0 has lost its carrier" {
		t.Errorf("cable: %q, %v", got, err)
	}
	await(t, "no carrier", func() bool { return !carries(t, a, "ext0") })
	if _, err := send("restore gw-a"); err != nil {
		t.Error(err)
	}
	await(t, "the carrier", func() bool { return carries(t, a, "ext0") })
	if !running(a) {
		t.Error("sluice run ended by a cable")
	}
	if _, err := send("poweroff gw-b"); err != nil {
		t.Error(err)
	}
	if running(b) || !running(a) || !b.gateway.Off() {
		t.Error("the wrong processes ended")
	}
	if _, err := send("restore gw-b"); err != nil {
		t.Error(err)
	}
	if !running(b) || b.gateway.Off() {
		t.Error("it does not run again")
	}
	for text, want := range map[string]string{
		"cable gw-c ext0": `no gateway "gw-c"; there are gw-a, gw-b`, "cable gw-a eth0": "eth0", "burn gw-a": "not understood", "kill9 gw-a": "no process",
	} {
		if _, err := send(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	for _, want := range []string{"gw-a: cable gw-a ext0", "gw-b: poweroff gw-b", "gw-b: restore gw-b"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, said.String())
		}
	}
	if _, err := send("cable gw-a ext0"); err == nil || !strings.Contains(err.Error(), "lab --gateways 2") {
		t.Errorf("without a lab: %v", err)
	}
}

func TestFaultUsage(t *testing.T) {
	for args, want := range map[string]int{
		"fault": 2, "fault burn gw-a": 2, "fault --name ../x poweroff gw-a": 2, "fault --name nolab poweroff gw-a": 1,
	} {
		var stdout, stderr bytes.Buffer
		if code := run(strings.Fields(args), &stdout, &stderr); code != want || stderr.Len() == 0 {
			t.Errorf("lab %s: exit code %d, %q", args, code, stderr.String())
		}
	}
}

// All that a reader needs to break and heal is told.
func TestClusterInvitation(t *testing.T) {
	needs(t)
	c := idleCluster(t, options{name: "x", gateways: 3, backends: 2, mode: "nat", clientAddress: "hide"})
	if err := c.ends.start(t.Context(), place{site: c.site, client: c.network.Client, backends: c.network.Backends, vips: c.vips(), builtIn: true}); err != nil {
		t.Fatal(err)
	}
	defer c.ends.close()
	text := strings.Join(c.invitation(), "\n")
	for _, want := range []string{"bin/lab fault --name x poweroff gw-a", "192.0.2.3", "gw-c/sluice.yaml", "show vips", "nsenter --net="} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %q:\n%s", want, text)
		}
	}
	// What it says about orders is understood.
	var orders []string
	for line := range strings.Lines(text) {
		if _, words, is := strings.Cut(line, "lab fault --name x "); is {
			orders = append(orders, strings.Fields(words)[0])
			if _, err := parseOrder(strings.Fields(words)); err != nil {
				t.Error(err)
			}
		}
	}
	if diff := cmp.Diff([]string{"poweroff", "cable", "silent", "silent", "kill9", "stop", "restore"}, orders); diff != "" {
		t.Errorf("orders differ (-want +got):\n%s", diff)
	}
}

// await polls, bounded.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// The names are those that the product's own test keeps.
func TestAllActive(t *testing.T) {
	for text, want := range map[string]bool{
		`{"virtual_clusters":[{"state":"active"},{"state":"active"}]}`: true,
		`{"virtual_clusters":[{"state":"active"},{"state":"backup"}]}`: false,
		`{"virtual_clusters":[]}`:                                      false,
	} {
		var a vipsAnswer
		if err := json.Unmarshal([]byte(text), &a); err != nil || a.allActive() != want {
			t.Errorf("%s: %v (%v)", text, a.allActive(), err)
		}
	}
}

func TestSynced(t *testing.T) {
	for answer, want := range map[string]string{
		`{"virtual_clusters":[{"state":"backup","sync":[{"peer":"gw-a","state":"synced"}]}]}`:   "",
		`{"virtual_clusters":[{"state":"backup","sync":[]}]}`:                                   "",
		`{"virtual_clusters":[{"state":"backup","sync":[{"peer":"gw-a","state":"snapshot"}]}]}`: `the flows of gw-a are not here: flow sync is "snapshot"`,
	} {
		var a vipsAnswer
		if err := json.Unmarshal([]byte(answer), &a); err != nil {
			t.Fatal(err)
		}
		if err := a.synced(); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s: %v, want %q", answer, err, want)
		}
	}
}
