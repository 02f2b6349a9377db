package metrics

// Per virtual cluster.
var (
	vipState      = describe("vip_state", "1 for the state this gateway is in for the virtual cluster, 0 for the others.", "cluster", "state")
	vipSince      = describe("vip_state_timestamp_seconds", "When the state was entered, in seconds since 1970.", "cluster")
	vipChanges    = describe("vip_state_changes_total", "Changes of the state, by cause.", "cluster", "cause")
	vipTerm       = describe("vip_term", "Number of the changes of who is active; only grows.", "cluster")
	vipPriority   = describe("vip_priority", "VRRP priority, as the settings say (base) and as it is advertised (effective).", "cluster", "kind")
	vipEligible   = describe("vip_eligible", "1 if this gateway may be active.", "cluster")
	vipOwner      = describe("vip_owner", "1 while the dataplane of this gateway steers the VIP.", "cluster", "vip", "interface")
	vipAdverts    = describe("vip_adverts_total", "VRRP adverts sent and believed.", "cluster", "interface", "family", "direction")
	vipRefused    = describe("vip_adverts_refused_total", "VRRP adverts that were not believed, by reason.", "cluster", "interface", "family", "reason")
	vipLink       = describe("vip_link_up", "1 if an interface that carries VIPs has a carrier.", "cluster", "interface")
	vipPing       = describe("vip_ping_item_up", "1 unless all hosts of the ping item fail; items are numbered from 1.", "cluster", "item", "interface")
	vipPingHost   = describe("vip_ping_host_up", "1 if the host answers.", "cluster", "item", "host")
	vipPingRTT    = describe("vip_ping_rtt_seconds", "Round trip of the host's last answer.", "cluster", "item", "host")
	clusterAlarms = describe("vip_alarms", "Conditions of the virtual cluster that need an operator, by name.", "cluster", "name")
)

// Per other gateway of a virtual cluster.
var (
	peerAlive   = describe("vip_peer_up", "1 while heartbeats of the peer are heard.", "cluster", "peer")
	peerHears   = describe("vip_peer_hears_gateway", "1 while the peer says that it hears this gateway.", "cluster", "peer")
	peerAge     = describe("vip_peer_heartbeat_age_seconds", "How long ago the last heartbeat of the peer was heard.", "cluster", "peer")
	peerLoss    = describe("vip_peer_heartbeat_loss_ratio", "Part of the latest heartbeats that was lost, from the peer (in) and to it (out).", "cluster", "peer", "direction")
	peerSynced  = describe("vip_peer_synced", "1 while the peer has the flows of this gateway.", "cluster", "peer")
	peerIsState = describe("vip_peer_state", "1 for the state the peer says it is in, 0 for the others.", "cluster", "peer", "state")
)

// Flow sync: one stream with each other gateway, whatever clusters they share.
var (
	syncSynced  = describe("flow_sync_up", "1 while the snapshot is carried and deltas follow.", "peer", "direction")
	syncLag     = describe("flow_sync_lag_seconds", "How far the receiver's flows are behind.", "peer", "direction")
	syncFlows   = describe("flow_sync_flows_total", "Flows that were carried.", "peer", "direction")
	syncResyncs = describe("flow_sync_resyncs_total", "Snapshots after the first.", "peer", "direction")
)
