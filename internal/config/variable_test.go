package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVariables(t *testing.T) {
	const text = `
nodes:
  gw-a: {ext: ext0, n: 2048, mode: auto, span: 3s}
  gw-b: {ext: bond0.7, n: 4096, mode: native, span: 1500ms}
dataplane:
  interfaces: ["${ext}", "x${n}y", "$${ext}", "a$$${ext}", "$", "b$"]
  xdp: ${mode}
  max_flows: "${n}"
  lifetimes: {closed: "${span}"}
`
	for _, tt := range []struct {
		node       string
		interfaces []string
		flows      int
		closed     string
	}{
		{"gw-a", []string{"ext0", "x2048y", "${ext}", "a$${ext}", "$", "b$"}, 2048, "3s"},
		{"gw-b", []string{"bond0.7", "x4096y", "${ext}", "a$${ext}", "$", "b$"}, 4096, "1.5s"},
	} {
		s, err := Parse("f.yaml", []byte(text), Hostname(tt.node))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.interfaces, s.Dataplane.Interfaces); diff != "" {
			t.Errorf("%s: interfaces (-want +got):\n%s", tt.node, diff)
		}
		if got := s.Dataplane.MaxFlows; got != tt.flows {
			t.Errorf("%s: max_flows is %d, want %d", tt.node, got, tt.flows)
		}
		if got := formatDuration(s.Dataplane.Lifetimes.Closed); got != tt.closed {
			t.Errorf("%s: closed is %s, want %s", tt.node, got, tt.closed)
		}
	}
}

func TestVariableFaults(t *testing.T) {
	const nodes = "nodes: {gw-a: {ext_addr: a, ext_port: b}}\n"
	for _, tt := range []struct{ name, text, want string }{
		{"no nodes", "dataplane: {xdp: »\"${mode}\"}", `dataplane.xdp: uses ${mode}, but nodes has no node "gw-a"; add gw-a to nodes, or set node.name to one that is there`},
		{"other nodes", "nodes: {gw-b: {mode: auto}}\ndataplane: {xdp: »\"${mode}\"}",
			`dataplane.xdp: uses ${mode}, but nodes has no node "gw-a"; add gw-a to nodes, or set node.name to one that is there`},
		{"misspelt", nodes + "dataplane: {interfaces: [»\"${ext_adr}\"]}", "dataplane.interfaces[0]: uses ${ext_adr}, which nodes.gw-a does not define; did you mean ext_addr?"},
		{"unknown", nodes + "dataplane: {interfaces: [»\"${x}\"]}", "dataplane.interfaces[0]: uses ${x}, which nodes.gw-a does not define; known here: ext_addr, ext_port"},
		{"none defined", "nodes: {gw-a: {}}\ndataplane: {interfaces: [»\"${x}\"]}", "dataplane.interfaces[0]: uses ${x}, which nodes.gw-a does not define; define it there"},
		{"upper case", nodes + "dataplane: {interfaces: [»\"${EXT}\"]}",
			`dataplane.interfaces[0]: "${EXT}" has no variable's name behind ${; write ${name} with a name in lower case, or $${ for the text itself`},
		{"not closed", nodes + "dataplane: {interfaces: [»\"a${ext_addr\"]}",
			`dataplane.interfaces[0]: "a${ext_addr" has no variable's name behind ${; write ${name} with a name in lower case, or $${ for the text itself`},
		{"bad value", nodes + "dataplane: {max_flows: »\"${ext_addr}\"}", `dataplane.max_flows: "a" is not a whole number within limits; write one from 1024 to 16777216`},
		{"broken node name silences", "node: {name: »7}\n" + nodes + "dataplane: {interfaces: [\"${ext_addr}\"]}", `node.name: is a number and must be text; put it in quotes: "7"`},
		{"broken nodes silence", "nodes: »[]\ndataplane: {interfaces: [\"${ext_addr}\"]}", "nodes: is a list and must be a mapping by the name of a node; write {name: ...}"},
		{"broken variable silences", "nodes: {gw-a: {x: »[]}}\ndataplane: {interfaces: [\"${x}\"]}", `nodes.gw-a.x: is a list and must be text; write one such as "192.0.2.1"`},
	} {
		t.Run(tt.name, func(t *testing.T) { testFaults(t, tt.text, tt.want) })
	}
}

func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"nothing to say", `services: [{listen: "192.0.2.3:22", backends: [10.0.0.11]}]`, nil},
		{"variables", "nodes:\n  gw-a: {ext: eth0, region: »eu}\n  gw-b: {ext: eth1, spare: »x}\n  gw-c: »{}\ndataplane: {interfaces: [\"${ext}\"]}", []string{
			"nodes.gw-a.region: no setting uses ${region}; remove it, or check the spelling where it should be used",
			"nodes.gw-b.spare: no setting uses ${spare}; remove it, or check the spelling where it should be used",
			"nodes.gw-c: does not define ${ext}, so this node will refuse the settings; define it there"}},
		{"weights", "services: [{listen: '192.0.2.3:22', backends: »[{addr: 10.0.0.11, weight: 0}]}]", []string{
			"services[0].backends: every backend has weight 0, so none gets new flows; give one of them a weight"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text, places := unmark(tt.text)
			var got []string
			if _, err := Parse("f.yaml", []byte(text), Hostname("gw-a"), Warn(func(f *Fault) { got = append(got, f.Error()) })); err != nil {
				t.Fatal(err)
			}
			for i := range tt.want {
				tt.want[i] = "f.yaml:" + places[i] + ": " + tt.want[i]
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestWarningsBesideFaults holds that faults do not silence warnings.
func TestWarningsBesideFaults(t *testing.T) {
	warnings := 0
	_, err := Parse("f.yaml", []byte("{nodes: {gw-a: {a: b}}, c: d}"), Warn(func(*Fault) { warnings++ }))
	if err == nil || warnings != 1 {
		t.Errorf("got %v and %d warnings, want a fault and a warning", err, warnings)
	}
}
