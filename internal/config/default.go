package config

import "time"

// What a settings file may hold at most. The tables of the dataplane have room
// for more, for what left the settings while flows of it live.
const (
	MaxServices   = 512   // services
	MaxBackends   = 4096  // backends of one service
	MaxMembers    = 16384 // backends of all services, counted once per service
	MaxPool       = 16    // addresses of one source_pool
	MaxDecapVIPs  = 512   // dataplane.decap.vips
	MaxInterfaces = 64    // dataplane.interfaces
	MaxWeight     = 1000  // weight of a backend
	MaxNodes      = 256   // nodes
	MaxVariables  = 64    // variables of one node
	MaxPrefixes   = 16384 // guard.deny and guard.exempt, each

	MaxClusters     = 64 // virtual_clusters
	MaxClusterNodes = 16 // nodes of one virtual cluster
	MaxVIPs         = 64 // virtual addresses of one virtual cluster
	MaxPings        = 16 // pings of one virtual cluster
	MaxHosts        = 16 // hosts of one ping
	MaxKeys         = 16 // keys of one virtual cluster
	MaxArguments    = 32 // words of a notify command
)

// defaults are the values of what a settings file leaves out. Those that
// depend on other values (names, source_pool, interfaces) are not here but
// with their fields.
var defaults = struct {
	Node        Node
	Dataplane   Dataplane
	Guard       Guard
	Service     Service // with its HealthCheck
	Backend     Backend
	ServiceNode ServiceNode

	VirtualCluster VirtualCluster
	Ping           Ping
}{
	Node: Node{
		DataDir: "/var/lib/sluice",
		BPFFS:   "/sys/fs/bpf/sluice",
		Control: Control{Socket: "/run/sluice/control.sock"},
		User:    "sluice",
	},
	Dataplane: Dataplane{
		XDP:      XDPAuto,
		Watchdog: time.Minute,
		MaxFlows: 262144,
		Lifetimes: Lifetimes{
			Established: 120 * time.Hour,
			HalfClosed:  2 * time.Minute,
			Closed:      10 * time.Second,
			Embryo:      60 * time.Second,
		},
	},
	Guard: Guard{Challenge: ChallengeAuto},
	Service: Service{
		Mode:          ModeNAT,
		ClientAddress: ClientHide,
		Select:        SelectHash,
		HealthCheck: HealthCheck{
			Type:     HealthCheckSSH,
			Interval: 2 * time.Second,
			Timeout:  time.Second,
			Rise:     2,
			Fall:     3,
		},
		OnDown:   OnDownKeep,
		NodeAddr: "${ext_addr}",
		Via:      ModeDSR,
	},
	Backend:     Backend{Weight: 1},
	ServiceNode: ServiceNode{Weight: 1},
	VirtualCluster: VirtualCluster{
		Version:       3,
		Checksum:      ChecksumPseudoHeader,
		VirtualMAC:    VirtualMACAuto,
		Auth:          Auth{Mode: AuthOff},
		Heartbeat:     Heartbeat{Port: 8021},
		NotifyTimeout: 30 * time.Second,
		Announce:      Announce{Repeat: 5, Delay: 5 * time.Second},
	},
	Ping: Ping{Interval: 250 * time.Millisecond, Timeout: 250 * time.Millisecond, Fall: 3, Rise: 2},
}
