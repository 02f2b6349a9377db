package failover

import (
	"testing"

	"sluice/internal/nettest"
)

const edge = `
dataplane: {interfaces: [ext0, int0]}
virtual_clusters:
  - name: edge
    vrid: 51
    priority: {gw-a: 150, gw-b: 100}
    heartbeat: {interface: hb0, addr: "${heartbeat_addr}"}
    addrs: [{interface: ext0, addr: "${ext_addr}"}, {interface: int0, addr: "${int_addr}"}]
    vips: [{addr: 192.0.2.3/24, interface: ext0}, {addr: 10.0.2.3/24, interface: int0}]
services:
  - name: login
    listen: "192.0.2.3:22"
    source_pool: [10.0.2.3]
    backends: [10.0.2.11, 10.0.2.12]
    health_check: {type: off}
`

func TestFirst(t *testing.T) {
	all := newGateways(t, nettest.ClusterOptions{}, edge)
	all.start()
}
