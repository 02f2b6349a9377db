package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const diffBase = `
node: {name: gw-a, metrics: ":9422"}
nodes: {gw-a: {a: b}, gw-b: {a: c}}
dataplane: {interfaces: [eth0, eth1], max_flows: 4096}
services:
- {name: login, listen: "192.0.2.3:22", mode: sshd}
- name: sftp
  listen: "192.0.2.3:2022"
  backends: [{name: blue, addr: 10.0.0.11}, {name: red, addr: 10.0.0.12, weight: 2}]
`

// TestDiff changes the same file in different ways.
func TestDiff(t *testing.T) {
	for _, tt := range []struct {
		name     string
		from, to string
		want     []Change
	}{
		{"nothing", "eth0", "eth0", nil},
		{"order of keys and services", diffBase, `
services:
- {listen: "192.0.2.3:2022", name: sftp, backends: [{name: red, addr: 10.0.0.12, weight: 2}, {name: blue, addr: 10.0.0.11}]}
- {mode: sshd, listen: "192.0.2.3:22", name: login}
dataplane: {max_flows: 4096, interfaces: [eth0, eth1]}
nodes: {gw-b: {a: c}, gw-a: {a: b}}
node: {metrics: ":9422", name: gw-a}`, nil},
		{"node", `":9422"`, `":9423"`, []Change{{Path: "node.metrics", Old: ":9422", New: ":9423", NeedsRestart: true}}},
		{"node's value left out", `, metrics: ":9422"`, "", []Change{{Path: "node.metrics", Old: ":9422", NeedsRestart: true}}},
		{"node's deeper value", "gw-a, m", "gw-a, control: {socket: /x}, m", []Change{{Path: "node.control.socket", Old: "/run/sluice/control.sock", New: "/x", NeedsRestart: true}}},
		{"flows", "4096", "8192", []Change{{Path: "dataplane.max_flows", Old: "4096", New: "8192", NeedsRestart: true}}},
		{"interfaces", "eth1]", "eth2]", []Change{{Path: "dataplane.interfaces", Old: "[eth0, eth1]", New: "[eth0, eth2]"}}},
		{"no interfaces", "interfaces: [eth0, eth1], ", "", []Change{{Path: "dataplane.interfaces", Old: "[eth0, eth1]"}}},
		{"lifetime", "4096", "4096, lifetimes: {closed: 20s}", []Change{{Path: "dataplane.lifetimes.closed", Old: "10s", New: "20s"}}},
		{"variable", "{a: c}", "{a: d, e: f}", []Change{
			{Path: "nodes.gw-b.a", Old: "c", New: "d"}, {Path: "nodes.gw-b.e", New: "f"}}},
		{"node of nodes", ", gw-b: {a: c}", ", gw-c: {a: c}", []Change{
			{Path: "nodes.gw-b", Old: "{a: c}"}, {Path: "nodes.gw-c", New: "{a: c}"}}},
		{"weight", "weight: 2", "weight: 3", []Change{{Path: "services[sftp].backends[red].weight", Old: "2", New: "3"}}},
		{"backend", "{name: blue, addr: 10.0.0.11}, ", "10.0.0.13, ", []Change{
			{Path: "services[sftp].backends[blue]", Old: `{name: blue, addr: "10.0.0.11:22", weight: 1}`},
			{Path: "services[sftp].backends[10.0.0.13:22]", New: `{name: "10.0.0.13:22", addr: "10.0.0.13:22", weight: 1}`}}},
		{"address of a backend", "10.0.0.11", "10.0.0.13", []Change{{Path: "services[sftp].backends[blue].addr", Old: "10.0.0.11:22", New: "10.0.0.13:22"}}},
		{"service", "name: login", "name: shell", []Change{
			{Path: "services[login]", Old: `{name: login, listen: "192.0.2.3:22", mode: sshd}`},
			{Path: "services[shell]", New: `{name: shell, listen: "192.0.2.3:22", mode: sshd}`}}},
		{"what a mode has", "mode: sshd", "mode: dsr, backends: [10.0.0.11]", []Change{
			{Path: "services[login].mode", Old: "sshd", New: "dsr"},
			{Path: "services[login].select", New: "hash"},
			{Path: "services[login].backends", New: `[{name: blue, addr: "10.0.0.11:22", weight: 1}]`},
			{Path: "services[login].health_check", New: "{type: ssh, interval: 2s, timeout: 1s, rise: 2, fall: 3}"},
			{Path: "services[login].on_down", New: "keep"}}},
		{"pool", "  backends", "  source_pool: [10.0.2.1]\n  backends", []Change{{Path: "services[sftp].source_pool", New: `["10.0.2.1"]`}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(diffBase, tt.from) {
				t.Fatalf("nothing to change: %s", tt.from)
			}
			got := Diff(mustParse(t, diffBase), mustParse(t, strings.Replace(diffBase, tt.from, tt.to, 1)))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestDiffProperties holds for any settings: equal ones have no changes,
// different ones have some, and the way back has the same ones reversed.
func TestDiffProperties(t *testing.T) {
	var before *Settings
	for seed := range uint64(200) {
		a, b := newGenerator(seed).settings(), newGenerator(seed).settings()
		if changes := Diff(a, b); len(changes) > 0 {
			t.Fatalf("seed %d: equal settings have changes %v", seed, changes)
		}
		if before != nil {
			forth, back := Diff(before, a), Diff(a, before)
			if len(forth) == 0 && !reflect.DeepEqual(normal(before), normal(a)) {
				t.Fatalf("seed %d: no changes between\n%s\nand\n%s", seed, before.YAML(), a.YAML())
			}
			for i, c := range back {
				back[i].Old, back[i].New = c.New, c.Old
			}
			if diff := cmp.Diff(sorted(forth), sorted(back)); diff != "" {
				t.Fatalf("seed %d: forth and back differ:\n%s", seed, diff)
			}
		}
		before = a
	}
}

func sorted(changes []Change) []string {
	var lines []string
	for _, c := range changes {
		lines = append(lines, fmt.Sprint(c))
	}
	slices.Sort(lines)
	return lines
}
