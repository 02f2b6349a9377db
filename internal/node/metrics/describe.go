package metrics

import "github.com/prometheus/client_golang/prometheus"

// descriptions are all of ours, for Describe.
var descriptions []*prometheus.Desc

// describe names a metric and keeps it for Describe, so that none is forgotten
// there.
func describe(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc("sluice_"+name, help, labels, nil)
	descriptions = append(descriptions, d)
	return d
}

// The node.
var (
	buildInfo = describe("build_info", "The running program; always 1.", "version", "commit", "goversion")
	startTime = describe("start_time_seconds", "When the node process started, in seconds since 1970.")
	xdpInfo   = describe("xdp_info", "An interface that carries an XDP program of ours, and how (native or generic); always 1.", "interface", "mode", "driver")
	flows     = describe("flows", "Flows in the flow table.")
	flowsMax  = describe("flows_limit", "Flows the flow table has room for.")
	alarms    = describe("alarms", "Conditions that need an operator.", "severity")

	generation   = describe("settings_generation", "Number of the settings that run.")
	fileIsBehind = describe("settings_file_behind", "1 if newer settings came otherwise than by the settings file.")
	reloadOK     = describe("settings_last_reload_successful", "1 if the last reload or apply succeeded.")
	reloadTime   = describe("settings_last_reload_timestamp_seconds", "When the last reload or apply was tried, in seconds since 1970.")
)

// What did not go on.
var (
	droppedPackets = describe("dropped_packets_total", "Packets for a VIP that did not go on, by reason.", "reason")
	droppedBytes   = describe("dropped_bytes_total", "Bytes (IP total length) of packets for a VIP that did not go on, by reason.", "reason")
)

// What came inside other packets.
var (
	decapPackets = describe("decap_packets_total", "Packets for a VIP that came inside others, by what became of them: done, or why they were dropped.", "verdict")
	decapBytes   = describe("decap_bytes_total", "Bytes of packets for a VIP that came inside others.", "verdict")
)

// Per service. Packets and bytes are what the XDP program accepted. The mode is
// a label because a service that changed it is another one for the dataplane:
// for a while the flows of both live.
var (
	servicePackets       = describe("service_packets_total", "Packets of the service; out only where replies pass through the node.", "service", "listen", "mode", "direction")
	serviceBytes         = describe("service_bytes_total", "Bytes (IP total length) of the service.", "service", "listen", "mode", "direction")
	serviceFlowsOpened   = describe("service_flows_opened_total", "Flows of the service that were established.", "service", "listen", "mode")
	serviceFlows         = describe("service_flows", "Flows of the service now; an upper bound in one-way modes.", "service", "listen", "mode")
	serviceSYNs          = describe("service_syns_total", "Connection attempts to the service, repetitions included.", "service", "listen", "mode")
	serviceRefused       = describe("service_refused_total", "New flows of the service that were turned away.", "service", "listen", "mode")
	serviceUnprotected   = describe("service_flows_unprotected_total", "Flows without an entry because the flow table was full.", "service", "listen", "mode")
	serviceRevived       = describe("service_flows_revived_total", "Flows that went on after a FIN or reset that others than their ends had sent.", "service", "listen", "mode")
	serviceRing          = describe("service_ring_entries", "Entries of the ring whose flows are looked up in the flow table, by reason; one-way modes only.", "service", "listen", "mode", "reason")
	serviceICMPErrors    = describe("service_icmp_errors_total", "ICMP errors that were sent on to who sent the packet they quote.", "service", "listen", "mode")
	serviceNoReturn      = describe("service_no_return_path_total", "Connection attempts whose answer did not come back through the node.", "service", "listen", "mode")
	serviceBackendWeight = describe("service_backend_weight", "Share of new flows a backend gets within a service.", "service", "backend")
)

// Per backend, over all services that name it.
var (
	backendPackets     = describe("backend_packets_total", "Packets to and from the backend; out only where replies pass through the node.", "backend", "addr", "direction")
	backendBytes       = describe("backend_bytes_total", "Bytes (IP total length) to and from the backend.", "backend", "addr", "direction")
	backendFlowsOpened = describe("backend_flows_opened_total", "Flows to the backend that were established.", "backend", "addr")
	backendFlows       = describe("backend_flows", "Flows to the backend now; an upper bound in one-way modes.", "backend", "addr")
	backendSYNs        = describe("backend_syns_total", "Connection attempts steered to the backend, repetitions included.", "backend", "addr")
	backendResets      = describe("backend_resets_total", "Resets seen on flows of the backend.", "backend", "addr")
	backendHealthy     = describe("backend_health_up", "1 if the health check passes or is off.", "backend", "addr")
	backendState       = describe("backend_state", "1 for the state the backend is in, 0 for the others.", "backend", "addr", "state")
)
