package config

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// twoNodes are the nodes of these tests; gw-c holds VIPs only, or is a standby.
const twoNodes = `nodes:
  gw-a: {ext_addr: 192.0.2.1, ext6: "2001:db8::1", n: 1, mixed: "2001:db8::1"}
  gw-b: {ext_addr: 192.0.2.2, ext6: "2001:db8::2", n: 2}
  gw-c: {ext_addr: 192.0.2.9, n: 9, mixed: 10.0.0.9}
  gw-d: {far: 10.0.0.1}
`

// TestServiceNodeFaults has one row for each way to get the nodes of a service
// wrong. Its text stands in the service.
func TestServiceNodeFaults(t *testing.T) {
	const s = "services[0]."
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"not a list", "nodes: »gw-a", []string{s + "nodes: is text and must be a list of nodes; put it in brackets, [ ], or behind a dash on a line of its own"}},
		{"empty", "nodes: »[]", []string{s + "nodes: is empty; list at least 1"}},
		{"unknown", "nodes: [gw-a, »gw_b]", []string{s + `nodes[1]: names "gw_b", which nodes does not define; did you mean gw-b?`}},
		{"twice", "nodes: [gw-a, »»{name: gw-a, weight: 2}]", []string{
			s + "nodes[1]: repeats services[0].nodes[0] (line 9); keep one of the two",
			s + "nodes[1]: has the address 192.0.2.1, as has services[0].nodes[0] (line 9); use a variable in node_addr that each node has its own value of"}},
		{"no name", "nodes: [»{weight: 2}]", []string{s + "nodes[0]: has no name; add the key"}},
		{"bad weight", "nodes: [{name: gw-a, weight: »1001}]", []string{s + `nodes[0].weight: "1001" is not a whole number within limits; write one from 0 to 1000`}},
		{"no address", "nodes: [gw-a, »gw-d]", []string{
			s + "nodes[1]: has no address: node_addr uses ${ext_addr}, which nodes.gw-d does not define; define it there, or set node_addr"}},
		{"no address of the VIP's family", "nodes: [gw-a, »gw-c], node_addr: '${ext6}'", []string{
			s + "nodes[1]: has no address: node_addr uses ${ext6}, which nodes.gw-c does not define; define it there, or set node_addr"}},
		{"another family", "nodes: [»gw-a, »gw-b], node_addr: '${ext_addr}'", []string{
			s + "nodes[0]: 192.0.2.1 is IPv4 and the VIP IPv6; set node_addr to a variable with addresses of the VIP's family",
			s + "nodes[1]: 192.0.2.2 is IPv4 and the VIP IPv6; set node_addr to a variable with addresses of the VIP's family"}},
		{"no address at all", "nodes: [»gw-a], node_addr: '${n}'", []string{
			s + `nodes[0]: has no address: by node_addr it is "1", but "1" is not an IP address; write the address itself; names are not looked up`}},
		{"two sorts of addresses", "nodes: [gw-a, »gw-c], via: gue, node_addr: '${mixed}'", []string{
			s + "nodes[1]: 10.0.0.9 is IPv4 and this node's 2001:db8::1 IPv6; set node_addr to a variable with addresses of one family"}},
		{"the same address", "nodes: [gw-a, »gw-b], node_addr: 192.0.2.7", []string{
			s + "nodes[1]: has the address 192.0.2.7, as has services[0].nodes[0] (line 9); use a variable in node_addr that each node has its own value of"}},
		{"the VIP", "nodes: [»gw-a], node_addr: '192.0.2.3'", []string{
			s + "nodes[0].addr: 192.0.2.3:22 is itself a service, services[0].listen (line 8); name a machine that serves SSH"}},
		{"malformed", "nodes: [gw-a], node_addr: »'${ext_addr'", []string{
			s + `node_addr: "${ext_addr" has no variable's name behind ${; write ${name} with a name in lower case, or $${ for the text itself`}},
		{"a number", "nodes: [gw-a], node_addr: »1", []string{s + `node_addr: is a number and must be text; write one such as "${ext_addr}"`}},
		{"nat", "nodes: [gw-a], via: »nat", []string{s + `via: "nat" is not known; known here: dsr, ipip, gue`}},
		{"backends, too", "nodes: [gw-a, gw-b], backends: »[10.0.0.11]", []string{s + "backends: means nothing in mode sshd, whose backends are its nodes; remove it"}},
		{"keys of nodes without", "node_addr: »'${ext_addr}', via: »dsr, health_check: »{}", []string{
			s + "node_addr: means nothing without nodes; remove it", s + "via: means nothing without nodes; remove it",
			s + "health_check: means nothing in mode sshd, which has no backends; remove it"}},
		{"a name that is taken", "nodes: [gw-a, »gw-b]}, {listen: '192.0.2.3:2022', backends: [{addr: '192.0.2.2:22', name: b2}]", []string{
			"services[1].backends[0].name: 192.0.2.2:22 is called gw-b by services[0].nodes[1].name (line 9); use one name for it"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := tt.text
			if tt.name == "a name that is taken" {
				text = strings.Replace(text, "»", "", 1)
				text = strings.Replace(text, "name: b2", "name: »b2", 1)
			}
			vip := "192.0.2.3:22"
			if strings.Contains(tt.name, "family") {
				vip = "[2001:db8::3]:22"
			}
			testFaults(t, twoNodes+"services: [{name: login,\n mode: sshd,\n listen: '"+vip+"',\n "+text+"}]", tt.want...)
		})
	}
}

// TestNodesOutside: faults of the node that reads the file, and of nodes as a
// whole.
func TestNodesOutside(t *testing.T) {
	const service = `services: [{listen: "192.0.2.3:22", mode: sshd, nodes: `
	for _, tt := range []struct{ name, text, want string }{
		{"no nodes", service + "»»[gw-b]}]", "services[0].nodes: is for the nodes of nodes, and this node, \"gw-a\", is none of them; add gw-a to nodes, or set node.name to one that is there"},
		{"broken nodes", "nodes: »[]\n" + service + "[gw-b]}]", "nodes: is a list and must be a mapping by the name of a node; write {name: ...}"},
		{"this node has no address", "nodes: {gw-a: {}, gw-b: {ext_addr: 192.0.2.2}}\n" + service + "[gw-b], node_addr: »'${ext_addr}'}]",
			"services[0].node_addr: has no address: node_addr uses ${ext_addr}, which nodes.gw-a does not define; define it there, or set node_addr"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := []string{tt.want}
			if tt.name == "no nodes" {
				tt.text = strings.Replace(tt.text, "»»[gw-b]", "»[»gw-b]", 1)
				want = append(want, `services[0].nodes[0]: names "gw-b", which nodes does not define; add it there`)
			}
			testFaults(t, tt.text, want...)
		})
	}
}

// TestServiceNodes: who the backends and the others are, by the node that reads
// the file.
func TestServiceNodes(t *testing.T) {
	const text = twoNodes + `services:
- {name: v4, listen: "192.0.2.3:22", mode: sshd, nodes: [gw-a, {name: gw-b, weight: 3}]}
- {name: v6, listen: "[2001:db8::3]:22", mode: sshd, nodes: [gw-b], node_addr: "${ext6}"}
- {name: part, listen: "192.0.2.4:22", mode: sshd, nodes: [gw-b], node_addr: "192.0.2.${n}"}
`
	at := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
	addrs := func(list ...string) (out []netip.Addr) {
		for _, a := range list {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	for _, tt := range []struct {
		node     string
		backends [][]Backend
		others   [][]netip.Addr
		own      []netip.Addr
	}{
		{"gw-a", [][]Backend{
			{{"gw-a", at("192.0.2.1:22"), 1, true}, {"gw-b", at("192.0.2.2:22"), 3, false}},
			{{"gw-b", at("[2001:db8::2]:22"), 1, false}},
			{{"gw-b", at("192.0.2.2:22"), 1, false}},
		}, [][]netip.Addr{addrs("192.0.2.2", "192.0.2.9"), addrs("2001:db8::2"), addrs("192.0.2.2", "192.0.2.9")}, addrs("192.0.2.1", "2001:db8::1", "192.0.2.1")},
		{"gw-b", [][]Backend{
			{{"gw-a", at("192.0.2.1:22"), 1, false}, {"gw-b", at("192.0.2.2:22"), 3, true}},
			{{"gw-b", at("[2001:db8::2]:22"), 1, true}},
			{{"gw-b", at("192.0.2.2:22"), 1, true}},
		}, [][]netip.Addr{addrs("192.0.2.1", "192.0.2.9"), addrs("2001:db8::1"), addrs("192.0.2.1", "192.0.2.9")}, addrs("192.0.2.2", "2001:db8::2", "192.0.2.2")},
	} {
		var warnings []string
		s, err := Parse("f.yaml", []byte(text), Hostname(tt.node), Warn(func(f *Fault) { warnings = append(warnings, f.Error()) }))
		if err != nil {
			t.Fatal(err)
		}
		for i, service := range s.Services {
			if diff := cmp.Diff(tt.backends[i], service.Backends, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
				t.Errorf("%s: backends of %s (-want +got):\n%s", tt.node, service.Name, diff)
			}
			if diff := cmp.Diff(tt.others[i], service.Others, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("%s: others of %s (-want +got):\n%s", tt.node, service.Name, diff)
			}
			if own := service.Own; own != tt.own[i] {
				t.Errorf("%s: own address in %s is %s", tt.node, service.Name, own)
			}
			if service.Carrier() != ModeDSR || !service.Spread() {
				t.Errorf("%s is carried by %s", service.Name, service.Carrier())
			}
		}
		// Some are used nowhere; those of node_addr are.
		if len(warnings) != 3 || !strings.Contains(strings.Join(warnings, ""), "${far}") {
			t.Errorf("%s: warnings are %v", tt.node, warnings)
		}
	}
	if s := mustParse(t, `services: [{listen: "192.0.2.3:22", mode: sshd}]`); s.Services[0].Spread() || s.Services[0].Carrier() != ModeSSHD || s.Services[0].Via != "" {
		t.Errorf("a service without nodes is %+v", s.Services[0])
	}
}
