package config

import (
	"fmt"
	"strings"
	"testing"
)

// TestNodeFaults has one row for each way to get node, nodes and dataplane
// wrong.
func TestNodeFaults(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"not a mapping", "node: »[]", "node: is a list and must be a mapping about this node; write its keys, name, data_dir, bpffs, control, metrics, user, each with a value"},
		{"root not a mapping", "»- node", "is a list and must be a mapping of settings; write its keys, node, nodes, dataplane, guard, virtual_clusters, services, each with a value"},
		{"name", "node: {name: »-a}", `node.name: "-a" is not a node's name (letters, digits and . _ -); write one such as gw-a`},
		{"name without value", "node: {name: »}", "node.name: has no value; write one, such as gw-a, or remove the key"},
		{"name is a number", "node: {name: »7}", `node.name: is a number and must be text; put it in quotes: "7"`},
		{"name is a boolean", "node: {name: »true}", `node.name: is true or false and must be text; put it in quotes: "true"`},
		{"name is a list", "node: {name: »[a]}", "node.name: is a list and must be text; write one such as gw-a"},
		{"variable", "node: {name: »\"${host}\"}", "node.name: holds a variable, which node and nodes cannot; write the value itself"},
		{"relative path", "node: {data_dir: »var/lib}", `node.data_dir: "var/lib" is not an absolute path; begin it with /`},
		{"long way round", "node: {bpffs: »/sys/fs/../fs/bpf}", `node.bpffs: "/sys/fs/../fs/bpf" is not the shortest form of the path; write "/sys/fs/bpf"`},
		{"control character in path", `node: {data_dir: »"/var\n"}`, `node.data_dir: "/var\n" is not an absolute path; begin it with /`},
		{"long socket", "node: {control: {socket: »/" + strings.Repeat("x", 107) + "}}",
			`node.control.socket: "/` + strings.Repeat("x", 59) + `…" is too long; keep it within 107 bytes`},
		{"user", "node: {user: »Root}", `node.user: "Root" is not a user name; write one such as sluice`},
		{"metrics without port", "node: {metrics: »127.0.0.1}", `node.metrics: "" is not a TCP port; write one from 1 to 65535`},
		{"metrics by name", "node: {metrics: »localhost:9422}", `node.metrics: "localhost" is not an IP address; write the address itself; names are not looked up`},
		{"nodes not a mapping", "nodes: »gw-a", "nodes: is text and must be a mapping by the name of a node; write {name: ...}"},
		{"node's name", "nodes: {»g w: {a: b}}", `nodes."g w": "g w" is not a node's name (letters, digits and . _ -); write one such as gw-a`},
		{"variable's name", "nodes: {gw-a: {»A: b}}", `nodes.gw-a.A: "A" is not a variable's name; write one such as ext_addr`},
		{"empty variable", "nodes: {gw-a: {a: »''}}", `nodes.gw-a.a: "" cannot be a variable's value; write 1 to 255 bytes without control characters`},
		{"control character in variable", `nodes: {gw-a: {a: »"\0"}}`, `nodes.gw-a.a: "\x00" cannot be a variable's value; write 1 to 255 bytes without control characters`},
		{"long variable", "nodes: {gw-a: {a: »" + strings.Repeat("x", 256) + "}}",
			`nodes.gw-a.a: "` + strings.Repeat("x", 60) + `…" cannot be a variable's value; write 1 to 255 bytes without control characters`},
		{"list as variable", "nodes: {gw-a: {a: »[]}}", `nodes.gw-a.a: is a list and must be text; write one such as "192.0.2.1"`},
		{"nested variable", "nodes: {gw-a: {a: b, c: »\"${a}\"}}", "nodes.gw-a.c: holds a variable, which node and nodes cannot; write the value itself"},
		{"node twice", "nodes:\n  gw-a:\n    a: b\n  »gw-a: {a: c}", "nodes.gw-a: repeats the key of line 2; keep one of the two"},
		{"interface's name", "dataplane: {interfaces: [eth0, »averylonginterface]}",
			`dataplane.interfaces[1]: "averylonginterface" is not the name of a network interface; write one of 1 to 15 bytes as ip link shows it`},
		{"interface's name with slash", "dataplane: {interfaces: [»a/b]}",
			`dataplane.interfaces[0]: "a/b" is not the name of a network interface; write one of 1 to 15 bytes as ip link shows it`},
		{"interface twice", "dataplane:\n  interfaces:\n  - eth0\n  - »eth0", "dataplane.interfaces[1]: repeats dataplane.interfaces[0] (line 3); keep one of the two"},
		{"mode of XDP", "dataplane: {xdp: »nativ}", `dataplane.xdp: "nativ" is not known; did you mean native?`},
		{"mode of XDP in upper case", "dataplane: {xdp: »AUTO}", `dataplane.xdp: "AUTO" is not known; known here: auto, native, generic`},
		{"flows as text", "dataplane: {max_flows: »'4096'}", "dataplane.max_flows: is text and must be a number; write it without quotes, such as 1024"},
		{"few flows", "dataplane: {max_flows: »1023}", `dataplane.max_flows: "1023" is not a whole number within limits; write one from 1024 to 16777216`},
		{"many flows", "dataplane: {max_flows: »99999999999999999999}", `dataplane.max_flows: "99999999999999999999" is not a whole number within limits; write one from 1024 to 16777216`},
		{"flows in octal", "dataplane: {max_flows: »010000}", `dataplane.max_flows: "010000" is not a whole number within limits; write one from 1024 to 16777216`},
		{"flows in hexadecimal", "dataplane: {max_flows: »0x1000}", `dataplane.max_flows: "0x1000" is not a whole number within limits; write one from 1024 to 16777216`},
		{"half a flow", "dataplane: {max_flows: »4096.5}", `dataplane.max_flows: "4096.5" is not a whole number within limits; write one from 1024 to 16777216`},
		{"decap without anything", "dataplane: {decap: »{from: [10.0.0.1], vips: [192.0.2.3]}}", "dataplane.decap: has no interfaces; add interfaces: [eth0]"},
		{"decap without gateways", "dataplane: {decap: »{interfaces: [eth0], vips: [192.0.2.3]}}", "dataplane.decap: has no from; add from: with the addresses of the gateways"},
		{"decap without VIPs", "dataplane: {decap: »{interfaces: [eth0], from: [10.0.0.1]}}", "dataplane.decap: has no vips; add vips: with the virtual addresses on lo"},
		{"decap on an interface twice", "dataplane: {decap: {interfaces: [eth0, »eth0], from: [10.0.0.1], vips: [192.0.2.3]}}",
			"dataplane.decap.interfaces[1]: repeats dataplane.decap.interfaces[0] (line 1); keep one of the two"},
		{"decap of a VIP twice", "dataplane: {decap: {interfaces: [eth0], from: [10.0.0.1], vips: [192.0.2.3, »192.0.2.3]}}",
			"dataplane.decap.vips[1]: repeats dataplane.decap.vips[0] (line 1); keep one of the two"},
		{"decap where VIP traffic is", "dataplane: {interfaces: [eth0], decap: {interfaces: [»eth0], from: [10.0.0.1], vips: [192.0.2.3]}}",
			"dataplane.decap.interfaces[0]: eth0 is one of dataplane.interfaces, and an interface carries one program; use another for one of them"},
		{"decap beside services", "dataplane: {decap: »{interfaces: [eth0], from: [10.0.0.1], vips: [192.0.2.3]}}\nservices: [{listen: '192.0.2.4:22', mode: sshd}]",
			"dataplane.decap: leaves open which interfaces the services use; add dataplane.interfaces with those that carry VIP traffic"},
		{"time span without unit", "dataplane: {lifetimes: {closed: »10}}", `dataplane.lifetimes.closed: "10" is not a time span; write one from 1s to 10m, with its unit`},
		{"short time span", "dataplane: {lifetimes: {embryo: »100ms}}", `dataplane.lifetimes.embryo: "100ms" is out of limits; write one from 1s to 10m, with its unit`},
		{"long time span", "dataplane: {lifetimes: {established: »721h}}", `dataplane.lifetimes.established: "721h" is out of limits; write one from 1m to 720h, with its unit`},
	} {
		t.Run(tt.name, func(t *testing.T) { testFaults(t, tt.text, tt.want) })
	}
}

// TestLaterKeys holds that keys and values of features to come are refused
// like any unknown one, so that no file seems to have an effect it has not.
func TestLaterKeys(t *testing.T) {
	const service = `services: [{listen: "192.0.2.3:22", backends: [10.0.0.11], %s}]`
	const inService = "unknown key; known here: name, listen, mode, client_address, select, source_pool, outer_source, nodes, node_addr, via, backends, health_check, last_resort, on_down"
	for _, tt := range []struct{ text, want string }{
		{"»ssh: {}", "ssh: unknown key; known here: node, nodes, dataplane, guard, virtual_clusters, services"},
		{"»tunnels: {}", "tunnels: unknown key; known here: node, nodes, dataplane, guard, virtual_clusters, services"},
		{"»monitor_ips: []", "monitor_ips: unknown key; known here: node, nodes, dataplane, guard, virtual_clusters, services"},
		{"node: {»replication: {role: standalone}}", "node.replication: unknown key; known here: name, data_dir, bpffs, control, metrics, user"},
		{"node: {control: {»http: a}}", "node.control.http: unknown key; known here: socket"},
		{fmt.Sprintf(service, "»host_keys: [a]"), "services[0].host_keys: " + inService},
		{fmt.Sprintf(service, "client_address: »show"), `services[0].client_address: "show" is not known; known here: hide, proxy_v2, keep`},
	} {
		testFaults(t, tt.text, tt.want)
	}
}
