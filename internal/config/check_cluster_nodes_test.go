package config

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// warningsOf returns the warnings of a file that has no faults, without place.
func warningsOf(t *testing.T, text, node string) (s *Settings, warnings []string) {
	t.Helper()
	s, err := Parse("f.yaml", []byte(text), Hostname(node), Warn(func(f *Fault) {
		if !strings.HasPrefix(f.Problem, "no setting uses") {
			warnings = append(warnings, f.Path+": "+f.Problem)
		}
	}))
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return s, warnings
}

// TestK4SameInterfaces holds that a cluster is on as many interfaces on each of
// its nodes.
func TestK4SameInterfaces(t *testing.T) {
	const v = "virtual_clusters[0]."
	nodes := func(b string) string {
		return "nodes: {gw-a: {ext: ext0, in: int0}, gw-b: {" + b + "}}\nvirtual_clusters: [{vrid: 1, priority: {gw-a: 20, gw-b: 10}, vips: "
	}
	const vips = "[{addr: 192.0.2.3/24, interface: '${ext}'}, {addr: 10.0.2.3/24, interface: »'${in}'}]}]"
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"as many", nodes("ext: eth0, in: eth1") + strings.Replace(vips, "»", "", 1), nil},
		{"two are one", nodes("ext: eth0, in: eth0") + vips, []string{v + "vips[1].interface: is eth0 on gw-b, as ext0 is, which are two interfaces here; use interfaces that are as many on each node"}},
		{"one is two", "nodes: {gw-a: {x: eth0, y: eth0}, gw-b: {x: eth0, y: eth1}}\nvirtual_clusters: [{vrid: 1, priority: {gw-a: 20, gw-b: 10}, " +
			"vips: [{addr: 192.0.2.3/24, interface: '${x}'}, {addr: 10.0.2.3/24, interface: »'${y}'}]}]",
			[]string{v + "vips[1].interface: eth0 is one interface here, but both eth0 and eth1 on gw-b; use interfaces that are as many on each node"}},
		{"missing", nodes("ext: eth0") + vips, []string{v + "vips[1].interface: uses ${in}, which nodes.gw-b does not define; define it there"}},
		{"no interface", nodes("ext: eth0, in: a/b") + vips, []string{
			v + `vips[1].interface: is "a/b" on gw-b, but "a/b" is not the name of a network interface; write one of 1 to 15 bytes as ip link shows it`}},
		{"of the heartbeat and of pings", nodes("") + "[{addr: 192.0.2.3, interface: ext0}], pings: [{interface: »'${in}', hosts: [10.0.2.1]}], heartbeat: {interface: »'${ext}', addr: 10.9.9.1}}]", []string{
			v + "pings[0].interface: uses ${in}, which nodes.gw-b does not define; define it there",
			v + "heartbeat.interface: uses ${ext}, which nodes.gw-b does not define; define it there"}},
		{"of own addresses", "nodes: {gw-a: {in: int0, a: 10.0.2.1}, gw-b: {a: 10.0.2.2}}\nvirtual_clusters: [{vrid: 1, priority: {gw-a: 20, gw-b: 10}, " +
			"vips: [{addr: 10.0.2.3/24, interface: int0}], addrs: [{interface: »'${in}', addr: '${a}'}]}]",
			[]string{v + "addrs[0].interface: uses ${in}, which nodes.gw-b does not define; define it there"}},
	} {
		t.Run(tt.name, func(t *testing.T) { testFaults(t, tt.text, tt.want...) })
	}
}

// TestK5ThreeAddresses holds that on each network the nodes have an address
// each, the VIP is a third one, and all are of one network.
func TestK5ThreeAddresses(t *testing.T) {
	const v = "virtual_clusters[0]."
	addrs := func(addr string) string { return "addrs: [{interface: ext0, addr: " + addr + "}]" }
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"three", inCluster("", addrs("'${ext_addr}'")), nil},
		{"the VIP is a node's", inCluster("192.0.2.3", "»192.0.2.2"), []string{
			v + "vips[0].addr: 192.0.2.2 is nodes.gw-b.ext_addr (line 3); a node keeps its own address, so use a third one"}},
		{"the VIP is not common", inCluster("192.0.2.3", "»'${ext_addr}'", "'/24", "'"), []string{
			v + "vips[0].addr: is not the same for gw-b, and a virtual address is the nodes' common one; write the address itself"}},
		{"the VIP is a common variable", inCluster("192.0.2.3/24", "'${same}/24'"), nil},
		{"an own address is the VIP", inCluster("192.0.2.3/24", "'${same}/24'", "gw-a: 150, ", "", "", addrs("»192.0.2.7")), []string{
			v + "addrs[0].addr: 192.0.2.7 is the virtual address of virtual_clusters[0].vips[0].addr (line 4); a node keeps its own address, so use another for one of them"}},
		{"missing", inCluster("", addrs("»'${only_a}'")), []string{
			v + "addrs[0].addr: uses ${only_a}, which nodes.gw-b does not define; define it there"}},
		{"no address", inCluster("", addrs("»»'${no}'")), []string{
			v + `addrs[0].addr: is "x" for gw-a, but "x" is not an IP address; write the address itself; names are not looked up`,
			v + `addrs[0].addr: is "y" for gw-b, but "y" is not an IP address; write the address itself; names are not looked up`}},
		{"the same", inCluster("", addrs("»'${same}'")), []string{
			v + "addrs[0].addr: is 192.0.2.7 for both gw-a and gw-b; use a variable that each node has its own value of"}},
		{"families", inCluster("", addrs("»'${mixed}'")), []string{
			v + "addrs[0].addr: is IPv6 for gw-b and IPv4 for another; use a variable with addresses of one family"}},
		{"another interface", inCluster("", "addrs: [{interface: »ext1, addr: '${ext_addr}'}]"), []string{
			v + "addrs[0].interface: no virtual address of the cluster is on ext1; remove it, or name one that has some"}},
		{"two on an interface", inCluster("", "addrs: [{interface: ext0, addr: '${ext_addr}'}, »{interface: ext0, addr: '${heartbeat_addr}'}]"), []string{
			v + "addrs[1]: is a second IPv4 address on ext0, beside virtual_clusters[0].addrs[0] (line 4); keep one of the two"}},
		{"unicast", inCluster("", "unicast: true", "", addrs("'${ext_addr}'")), nil},
		{"unicast without addresses", inCluster("", "unicast: »true"), []string{
			v + `unicast: needs the IPv4 addresses of the nodes on ext0, for virtual_clusters[0].vips[0] (line 4); add such as {interface: ext0, addr: "${ext_addr}"} to addrs`}},
		{"unicast without those of a family", inCluster("192.0.2.3/24", "'2001:db8::3/64'", "", "unicast: »true", "", addrs("'${ext_addr}'")), []string{
			v + `unicast: needs the IPv6 addresses of the nodes on ext0, for virtual_clusters[0].vips[0] (line 4); add such as {interface: ext0, addr: "${ext_addr}"} to addrs`}},
	} {
		t.Run(tt.name, func(t *testing.T) { testFaults(t, tt.text, tt.want...) })
	}
	_, warnings := warningsOf(t, inCluster("192.0.2.3/24", "198.51.100.3/24", "", addrs("'${ext_addr}'")), "gw-a")
	if diff := cmp.Diff([]string{v + "vips[0].addr: 198.51.100.3/24 is of another network than 192.0.2.1, this node's address on ext0"}, warnings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestK7PeerByLastBit: two nodes with addresses without variables find each
// other by the last bit, or by what the file says.
func TestK7PeerByLastBit(t *testing.T) {
	heartbeat := func(text string) string { return inCluster("", "heartbeat: {interface: hb0, addr: "+text+"}") }
	for _, tt := range []struct{ text, own, peer string }{
		{"169.254.1.1", "169.254.1.1", "169.254.1.0"},
		{"169.254.1.0", "169.254.1.0", "169.254.1.1"},
		{"'fd00::fe'", "fd00::fe", "fd00::ff"},
		{"10.9.9.7, peer: 10.9.9.1", "10.9.9.7", "10.9.9.1"},
		{"'${heartbeat_addr}'", "169.254.1.1", "169.254.1.0"},
		{"'${ext_addr}'", "192.0.2.1", "192.0.2.2"},
		{"'${ext_addr}', peer: 192.0.2.99", "192.0.2.1", "192.0.2.99"},
	} {
		v := mustParse(t, heartbeat(tt.text)).VirtualClusters[0]
		if v.Heartbeat.Addr != netip.MustParseAddr(tt.own) || len(v.Peers) != 1 || v.Peers[0].Heartbeat != netip.MustParseAddr(tt.peer) {
			t.Errorf("%s: own %s, peers %v, want %s and %s", tt.text, v.Heartbeat.Addr, v.Peers, tt.own, tt.peer)
		}
	}
	const h = "virtual_clusters[0].heartbeat."
	three := strings.Replace(strings.Replace(heartbeat("»169.254.1.1"), "gw-b: 100", "gw-b: 100, gw-c: 50", 1), "nodes:\n", "nodes:\n  gw-c: {heartbeat_addr: 169.254.1.7}\n", 1)
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"wildcard", heartbeat("»0.0.0.0"), []string{h + `addr: "0.0.0.0" is the unspecified address; write a unicast address that is reached over the network`}},
		{"wildcard by variable", heartbeat("»»'${wild}'"), []string{
			h + `addr: is "0.0.0.0" for gw-a, but "0.0.0.0" is the unspecified address; write a unicast address that is reached over the network`,
			h + `addr: is "0.0.0.0" for gw-b, but "0.0.0.0" is the unspecified address; write a unicast address that is reached over the network`}},
		{"itself", heartbeat("10.9.9.1, peer: »10.9.9.1"), []string{h + "peer: 10.9.9.1 is this node's own address; write the other node's"}},
		{"another family", heartbeat("10.9.9.1, peer: »'fd00::1'"), []string{h + "peer: fd00::1 is IPv6 and this node's 10.9.9.1 IPv4; use one of the same family"}},
		{"no neighbour", heartbeat("»255.255.255.254"), []string{
			h + `addr: the other node's address would differ in the last bit, but "255.255.255.255" is the broadcast address; give it as peer`}},
		{"a VIP", heartbeat("»192.0.2.3"), []string{
			h + "addr: 192.0.2.3 is the virtual address of virtual_clusters[0].vips[0].addr (line 4); a node keeps its own address, so use another for one of them"}},
		{"the other's is a VIP", heartbeat("»192.0.2.2, timeout: 200ms"), []string{
			h + "addr: 192.0.2.3 is the virtual address of virtual_clusters[0].vips[0].addr (line 4); a node keeps its own address, so use another for one of them"}},
		{"three", three, []string{h + `addr: is the same for 3 nodes; use a variable, such as "${heartbeat_addr}", and define it for each node`}},
		{"three with a peer", strings.Replace(three, "»169.254.1.1", "'${heartbeat_addr}', peer: »169.254.1.0", 1), []string{h + "peer: means nothing but with two nodes; remove it, and use a variable in addr"}},
		{"no interface", inCluster("", "heartbeat: »{addr: 10.9.9.1}"), []string{strings.TrimSuffix(h, ".") + ": has no interface; add the key"}},
		{"interval and timeout", heartbeat("10.9.9.1, interval: 100ms, timeout: »199ms"), []string{h + "timeout: 199ms is less than twice the interval of 100ms; make it at least twice the interval, so that one may be lost"}},
		{"slower than adverts", heartbeat("10.9.9.1, interval: »101ms"), []string{h + "interval: 101ms is longer than advert_interval, 100ms: an active node must know within one whether it reaches anybody; make it at most advert_interval"}},
		{"port", heartbeat("10.9.9.1, port: »65535, flow_sync_port: »0"), []string{
			h + `port: "65535" is not a whole number within limits; write one from 1 to 65534`, h + `flow_sync_port: "0" is not a whole number within limits; write one from 1 to 65535`}},
	} {
		t.Run(tt.name, func(t *testing.T) { testFaults(t, tt.text, tt.want...) })
	}
}

// TestHeartbeatDefaults: what follows from the adverts, and what is warned of.
func TestHeartbeatDefaults(t *testing.T) {
	const h = "virtual_clusters[0].heartbeat."
	s, warnings := warningsOf(t, inCluster("", "advert_interval: 200ms, heartbeat: {interface: ext0, addr: 10.9.9.1, port: 700, timeout: 900ms}"), "gw-a")
	got := s.VirtualClusters[0].Heartbeat
	if got.Interval != 100e6 || got.Timeout != 900e6 || got.FlowSyncPort != 701 {
		t.Errorf("got %+v", got)
	}
	want := []string{
		h + "interface: ext0 also has virtual_clusters[0].vips[0] (line 4), so one cable cuts both",
		h + "timeout: a silent node is known by 900ms, but adverts alone would tell within 800ms"}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := mustParse(t, inCluster()).VirtualClusters[0]; got.Heartbeat != (Heartbeat{}) || got.Name != "edge" || got.AdvertInterval != 100e6 {
		t.Errorf("got %+v", got)
	}
	if got := mustParse(t, inCluster("name: edge, ", "", "", "version: 2")).VirtualClusters[0]; got.Name != "51" || got.AdvertInterval != 1e9 || got.Checksum != "" {
		t.Errorf("got %+v", got)
	}
}
