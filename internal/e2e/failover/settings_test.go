package failover

import "strings"

// Parts of settings. The first cluster has VIPs on both networks, and one ping
// item on each.
const (
	interfaces = "dataplane: {interfaces: [ext0, int0]}\n"
	clusterOf  = `virtual_clusters:
  - name: edge
    vrid: 51
    priority: {gw-a: 150, gw-b: 100}
    heartbeat: {interface: hb0, addr: "${heartbeat_addr}"}
    addrs: [{interface: ext0, addr: "${ext_addr}"}, {interface: int0, addr: "${int_addr}"}]
    vips: [{addr: 192.0.2.3/24, interface: ext0}, {addr: 10.0.2.3/24, interface: int0}]
`
	pingItems = `    pings:
      - {interface: ext0, hosts: [198.51.100.22], interval: 100ms, timeout: 100ms}
      - {interface: int0, hosts: [10.0.2.11, 10.0.2.12, 10.0.2.13], interval: 100ms, timeout: 100ms}
`
	login = `services:
  - name: login
    listen: "192.0.2.3:22"
    source_pool: [10.0.2.3]
    backends: [10.0.2.11, 10.0.2.12, 10.0.2.13]
    health_check: {type: off}
`
	plain  = interfaces + clusterOf + login
	pinged = interfaces + clusterOf + pingItems + login
)

// with changes a cluster's lines: each pair is a text that must be there, and
// what stands for it.
func with(settings string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(settings, pairs[i]) {
			panic("no " + pairs[i] + " in the settings")
		}
		settings = strings.Replace(settings, pairs[i], pairs[i+1], 1)
	}
	return settings
}
