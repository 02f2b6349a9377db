package config

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var compareAddrs = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

// TestK8OneFileForAllNodes: each node finds itself by name, and what is not
// clear is a fault.
func TestK8OneFileForAllNodes(t *testing.T) {
	text := `nodes:
  gw-a: {hb: 10.9.9.1}
  gw-b: {hb: 10.9.9.2}
  gw-c: {hb: 10.9.9.3}
  gw-d: {}
virtual_clusters:
- {vrid: 7, priority: {gw-a: 30, gw-b: 20, gw-c: 10}, vips: [{addr: 192.0.2.3, interface: ext0}], heartbeat: {interface: hb0, addr: "${hb}"}}
`
	addr := netip.MustParseAddr
	peers := map[string]Peer{"gw-a": {"gw-a", 3, addr("10.9.9.1")}, "gw-b": {"gw-b", 2, addr("10.9.9.2")}, "gw-c": {"gw-c", 1, addr("10.9.9.3")}}
	for node, want := range map[string]struct {
		member   bool
		priority int
		own      netip.Addr
		peers    []Peer
	}{
		"gw-a": {true, 3, addr("10.9.9.1"), []Peer{peers["gw-b"], peers["gw-c"]}},
		"gw-c": {true, 1, addr("10.9.9.3"), []Peer{peers["gw-a"], peers["gw-b"]}},
		"gw-d": {false, 0, netip.Addr{}, []Peer{peers["gw-a"], peers["gw-b"], peers["gw-c"]}},
	} {
		s, _ := warningsOf(t, text, node)
		v := s.VirtualClusters[0]
		if v.Member != want.member || v.OwnPriority != want.priority || v.Heartbeat.Addr != want.own {
			t.Errorf("%s: got %+v", node, v)
		}
		if diff := cmp.Diff(want.peers, v.Peers, compareAddrs); diff != "" {
			t.Errorf("%s: peers (-want +got):\n%s", node, diff)
		}
	}
	const p = "virtual_clusters[0].priority"
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"no such machine", strings.Replace(inCluster("{gw-a: 150, gw-b: 100}", "»{gw-b: 1}"), "gw-a:", "gw-x:", 1), []string{
			p + `: is for the nodes of nodes, and this node, "gw-a", is none of them; set node.name to the one that this machine is (did you mean gw-b?)`}},
		{"no such node", inCluster("gw-b: 100", "gw-c: »1"), []string{p + `.gw-c: names "gw-c", which nodes does not define; did you mean gw-a?`}},
		{"no nodes", "virtual_clusters: [{vrid: 7, priority: {gw-a: 2, gw-b: »1}, vips: [{addr: 192.0.2.3, interface: ext0}]}]", []string{
			p + `.gw-b: names "gw-b", which nodes does not define; add it there, as {} if it has no variables`}},
		{"itself alone", "virtual_clusters: [{vrid: 7, priority: {gw-a: 2}, vips: [{addr: 192.0.2.3, interface: ext0}], heartbeat: {interface: hb0, addr: 10.9.9.1}}]", nil},
		{"twice", inCluster("gw-b: 100", "»gw-a: 1"), []string{p + ".gw-a: repeats the key of line 4; keep one of the two"}},
	} {
		t.Run(tt.name, func(t *testing.T) { testFaults(t, tt.text, tt.want...) })
	}
}

// TestK15PingTargets holds that nothing of the cluster itself is pinged.
func TestK15PingTargets(t *testing.T) {
	const v = "virtual_clusters[0]."
	ping := func(hosts string) string {
		return inCluster("", "pings: [{interface: ext0, hosts: ["+hosts+"]}], addrs: [{interface: ext0, addr: '${ext_addr}'}], heartbeat: {interface: hb0, addr: '${heartbeat_addr}'}")
	}
	const remedy = "; ping a router or switch that is always up"
	testFaults(t, ping("198.51.100.22, »192.0.2.3, »192.0.2.1, »192.0.2.2, »169.254.1.0, »198.51.100.22"),
		v+"pings[0].hosts[1]: 192.0.2.3 is a virtual address, virtual_clusters[0].vips[0].addr (line 4), which follows the role"+remedy,
		v+"pings[0].hosts[2]: 192.0.2.1 is an address of this node, a node of the cluster"+remedy,
		v+"pings[0].hosts[3]: 192.0.2.2 is an address of gw-b, a node of the cluster"+remedy,
		v+"pings[0].hosts[4]: 169.254.1.0 is an address of gw-b, a node of the cluster"+remedy,
		v+"pings[0].hosts[5]: repeats virtual_clusters[0].pings[0].hosts[0] (line 4); keep one of the two")
	testFaults(t, strings.Replace(ping("x"), "[x]", "»[]", 1), v+"pings[0].hosts: is empty; list at least 1")
}

// TestPIKE518 holds that the end of a common outage cannot move the role: what
// is waited for covers the slower node's pings and the news of them.
func TestPIKE518(t *testing.T) {
	const pings = "pings: [{interface: ext0, hosts: [198.51.100.22], interval: 2s, timeout: 1s}, {interface: ext0, hosts: [198.51.100.23]}]"
	settle := func(of string) time.Duration { return mustParse(t, of).VirtualClusters[0].PingSettle }
	if got := settle(inCluster("", pings)); got != 3*time.Second {
		t.Errorf("the default is %s, want 3s", got)
	}
	withHeartbeat := inCluster("", pings, "", "heartbeat: {interface: hb0, addr: 10.9.9.1, timeout: 400ms}")
	if got := settle(withHeartbeat); got != 3400*time.Millisecond {
		t.Errorf("the default with a heartbeat is %s, want 3.4s", got)
	}
	if got := settle(inCluster("", pings, "", "ping_settle: 3s")); got != 3*time.Second {
		t.Errorf("got %s, want 3s", got)
	}
	const v = "virtual_clusters[0]."
	testFaults(t, inCluster("", pings, "", "ping_settle: »2999ms"), v+"ping_settle: 2.999s is less than the longest interval and timeout of a ping and the heartbeat's timeout, so the end of a common outage would move the role; make it at least 3s")
	testFaults(t, strings.Replace(withHeartbeat, "name:", "ping_settle: »3s, name:", 1), v+"ping_settle: 3s is less than the longest interval and timeout of a ping and the heartbeat's timeout, so the end of a common outage would move the role; make it at least 3.4s")
	testFaults(t, inCluster("", "pings: [{interface: ext0, hosts: [198.51.100.22], interval: 1s, timeout: »1001ms}]"),
		v+"pings[0].timeout: 1.001s is longer than the interval of 1s, so that two requests would be under way; make it at most the interval, and fall larger")
	testFaults(t, inCluster("", "ping_settle: »3s"), v+"ping_settle: means nothing without pings; remove it")
	testFaults(t, inCluster("", pings, "", "ping_settle: »0s"), v+`ping_settle: "0s" is out of limits; write one from 100ms to 1h, with its unit`)
}

// TestK22EqualPriorities holds that the order of nodes is said, not left to
// addresses.
func TestK22EqualPriorities(t *testing.T) {
	_, warnings := warningsOf(t, inCluster("150", "100"), "gw-a")
	want := []string{"virtual_clusters[0].priority.gw-b: gw-b has the priority of gw-a, so the higher address decides"}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, warnings = warningsOf(t, inCluster()+"\nservices: [{listen: '192.0.2.9:22', mode: sshd}]", "gw-a")
	want = []string{"services[0].listen: 192.0.2.9 is in no virtual cluster, so it does not move"}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// sample is the example of two firewalls that is shipped.
const sample = "../../tools/packaging/samples/cluster.yaml"

// TestK10K11K27Sample expands the shipped sample for both of its nodes: the same
// cluster, each with its own addresses and nothing left over.
func TestK10K11K27Sample(t *testing.T) {
	text, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	const a, b = 0, 1
	names := []string{"fw-a", "fw-b"}
	heartbeat := []netip.Addr{addr("169.254.1.1"), addr("169.254.1.0")}
	ext := []netip.Addr{addr("192.0.2.1"), addr("192.0.2.2")}
	internal := []netip.Addr{addr("10.0.2.1"), addr("10.0.2.2")}
	priority := []int{150, 100}
	for own, other := range map[int]int{a: b, b: a} {
		s, err := Parse(sample, text, Hostname(names[own]), Warn(func(f *Fault) { t.Errorf("%s: warning: %v", names[own], f) }))
		if err != nil {
			t.Fatal(err)
		}
		want := []VirtualCluster{{
			Name: "firewall", VRID: 51, Priority: map[string]int{"fw-a": 150, "fw-b": 100},
			Member: true, OwnPriority: priority[own], Peers: []Peer{{names[other], priority[other], heartbeat[other]}},
			Preempt: true, AdvertInterval: 100 * time.Millisecond, Version: 3, Checksum: ChecksumPseudoHeader, VirtualMAC: VirtualMACAuto,
			Addrs: []ClusterAddr{
				{"EXT", "${ext_addr}", ext[own], []netip.Addr{ext[other]}},
				{"INT", "${int_addr}", internal[own], []netip.Addr{internal[other]}}},
			Auth: Auth{Mode: AuthOff},
			Heartbeat: Heartbeat{Interface: "HEART-BEAT", NodeAddr: "${heartbeat_addr}", Addr: heartbeat[own],
				Port: 8021, FlowSyncPort: 8022, Interval: 50 * time.Millisecond, Timeout: 150 * time.Millisecond},
			VIPs: []VIP{{prefix("192.0.2.3/24"), "EXT"}, {prefix("10.0.2.3/24"), "INT"}},
			Pings: []Ping{
				{"EXT", []netip.Addr{addr("198.51.100.22")}, 250 * time.Millisecond, 250 * time.Millisecond, 3, 2},
				{"INT", []netip.Addr{addr("10.0.2.11"), addr("10.0.2.12"), addr("10.0.2.13")}, 250 * time.Millisecond, 250 * time.Millisecond, 3, 2}},
			PingSettle: 650 * time.Millisecond, NotifyTimeout: 30 * time.Second, Announce: Announce{5, 5 * time.Second, 0},
		}}
		if diff := cmp.Diff(want, s.VirtualClusters, compareAddrs); diff != "" {
			t.Errorf("%s (-want +got):\n%s", names[own], diff)
		}
		if s.Node.Name != names[own] || len(s.Services) == 0 {
			t.Errorf("%s: got\n%s", names[own], s.YAML())
		}
	}
	for _, variable := range []string{"int_addr", "ext_addr", "heartbeat_addr"} {
		broken := strings.Replace(string(text), variable+":", variable+"x:", 2)
		if _, err := Parse(sample, []byte(broken), Hostname("fw-a")); err == nil || !strings.Contains(err.Error(), "${"+variable+"}, which nodes.fw-a does not define") {
			t.Errorf("without %s: %v", variable, err)
		}
		unused, warned := strings.ReplaceAll(string(text), variable+":", "x: a, "+variable+":"), 0
		if _, err := Parse(sample, []byte(unused), Hostname("fw-a"), Warn(func(f *Fault) {
			if strings.Contains(f.Problem, "no setting uses ${x}") {
				warned++
			}
		})); err != nil || warned != 2 {
			t.Errorf("with one that is not used: %v, %d warnings", err, warned)
		}
	}
}

// TestMAC: by the VRID and family, none, or the given one.
func TestMAC(t *testing.T) {
	for text, want := range map[string][2]string{
		"auto":             {"00:00:5e:00:01:33", "00:00:5e:00:02:33"},
		"'off'":            {"", ""},
		"02-00-C0-00-02-3": {},
		"0200.c000.0203":   {"02:00:c0:00:02:03", "02:00:c0:00:02:03"},
	} {
		s, err := Parse("f.yaml", []byte(inCluster("", "virtual_mac: "+text)), Hostname("gw-a"))
		if want == [2]string{} && text != "'off'" {
			if err == nil {
				t.Errorf("%s is taken", text)
			}
			continue
		}
		v := s.VirtualClusters[0]
		if got := [2]string{v.MAC(false).String(), v.MAC(true).String()}; got != want {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}
