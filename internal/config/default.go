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
}{
	Node: Node{
		DataDir: "/var/lib/sluice",
		BPFFS:   "/sys/fs/bpf/sluice",
		Control: Control{Socket: "/run/sluice/control.sock"},
		User:    "sluice",
	},
	Dataplane: Dataplane{
		XDP:      XDPAuto,
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
}
