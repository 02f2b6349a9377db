package config

import "net/netip"

// Service is a VIP and port that clients dial.
type Service struct {
	// Name is unique. Default: Listen as text.
	Name string
	// Listen is the VIP and port.
	Listen netip.AddrPort
	Mode   Mode
	// ClientAddress is what the backend sees as source; empty but in ModeNAT.
	ClientAddress ClientAddress
	// Select is how a backend is chosen; empty in ModeSSHD without Nodes, like all
	// below.
	Select Select
	// SourcePool are the addresses of our end towards backends, at most
	// MaxPool, of the VIP's family; nil means the VIP itself. ModeNAT with
	// ClientHide and ClientProxyV2 only.
	SourcePool []netip.Addr
	// OuterSource are our addresses in the outer header, one of each family at
	// most; the flow's hash fills the bits that a prefix leaves open. A family
	// without one takes the address that the route to the backend gives.
	// ModeIPIP and ModeGUE only.
	OuterSource []netip.Prefix
	// Nodes terminate the connections of a service in ModeSSHD, each by its own
	// listener; nil for this node alone. Each is in Settings.Nodes.
	Nodes []ServiceNode
	// NodeAddr is the address of each node as the file has it: ${name} in it is
	// the node's own. Via is how its packets get there. Both are empty without
	// Nodes.
	NodeAddr string
	Via      Mode
	// Own is the address that NodeAddr gives this node, which is valid with Nodes.
	Own netip.Addr
	// Others are the addresses that NodeAddr gives the nodes of the settings,
	// without this one: who may send connections on to it. Nil without Nodes.
	Others []netip.Addr
	// Backends are at most MaxBackends, in the order of the file, each with an
	// address of its own, in ModeNAT and ModeDSR of the VIP's family; never empty
	// but in ModeSSHD, where they are the Nodes.
	Backends    []Backend
	HealthCheck HealthCheck
	LastResort  LastResort
	OnDown      OnDown
}

// Mode is what happens to the packets of a service.
type Mode string

// The modes of a service.
const (
	ModeNAT  Mode = "nat"  // destination and source rewritten, replies return through us
	ModeDSR  Mode = "dsr"  // MAC rewritten, the backend holds the VIP and replies directly
	ModeIPIP Mode = "ipip" // sent inside IP; as dsr, but the backend may be anywhere
	ModeGUE  Mode = "gue"  // sent inside UDP, likewise
	ModeSSHD Mode = "sshd" // handed to the SSH stack of this node, or of one of Service.Nodes
)

// Tunnels says that a backend gets the client's packet inside another one.
func (m Mode) Tunnels() bool { return m == ModeIPIP || m == ModeGUE }

// OneWay says that backends hold the VIP and answer clients directly.
func (m Mode) OneWay() bool { return m == ModeDSR || m.Tunnels() }

// Spread says that nodes terminate the connections, each its share.
func (s Service) Spread() bool { return s.Mode == ModeSSHD && len(s.Nodes) > 0 }

// Carrier is what the packets get to the backends by: Mode, or Via where they
// are nodes.
func (s Service) Carrier() Mode {
	if s.Spread() {
		return s.Via
	}
	return s.Mode
}

// ClientAddress is what a backend in ModeNAT sees as source.
type ClientAddress string

// What a backend sees as source.
const (
	ClientHide ClientAddress = "hide" // an address of SourcePool
	ClientKeep ClientAddress = "keep" // the client; replies must be routed through us
	// ClientProxyV2 is as hide, and names the client in a PROXY v2 header.
	ClientProxyV2 ClientAddress = "proxy_v2"
)

// Select is how a backend is chosen for a new flow.
type Select string

// The ways to choose, all weighted. Hash chooses by a keyed hash of the client's
// address and port and the service, client by one of its address alone, so that
// all its flows meet one backend, and connections takes the one with fewer flows
// of the two that the hash prefers.
const (
	SelectHash        Select = "hash"
	SelectClient      Select = "client"
	SelectConnections Select = "connections"
)

// LastResort is who gets new flows when no backend is up.
type LastResort string

// Who gets new flows when no backend is up.
const (
	LastResortNone     LastResort = ""         // nobody: they are dropped and counted
	LastResortDraining LastResort = "draining" // the backends that drain
)

// OnDown is what happens to the flows of a backend whose health check fails.
type OnDown string

// What happens to the flows of a backend that is down.
const (
	OnDownKeep  OnDown = "keep"  // they stay, in case only the check is wrong
	OnDownReset OnDown = "reset" // they are reset, so that clients notice at once
)

var serviceShape = record[Service]{
	noun:     "a mapping about a service",
	doc:      "A virtual address and port that clients dial.",
	defaults: defaults.Service,
	fields: []field[Service]{
		key("name", "Name of the service in commands and counters.",
			func(s *Service) *string { return &s.Name }, serviceName).otherwise("the address and port"),
		key("listen", "Virtual address and port that clients dial.",
			func(s *Service) *netip.AddrPort { return &s.Listen }, endpoint("")).must(),
		key("mode", "nat: addresses rewritten, replies return through us. dsr: the backend holds the virtual address and replies directly. ipip, gue: as dsr, inside IP or UDP to a backend anywhere. sshd: this node's own SSH stack, or that of each of nodes.",
			func(s *Service) *Mode { return &s.Mode }, choice(ModeNAT, ModeDSR, ModeIPIP, ModeGUE, ModeSSHD)),
		key("client_address", "What a backend in mode nat sees as source: hide shows one of ours, proxy_v2 names the client in a PROXY v2 header besides (for servers that read it), keep shows the client's own (replies must be routed through us).",
			func(s *Service) *ClientAddress { return &s.ClientAddress }, choice(ClientHide, ClientProxyV2, ClientKeep)).when(isNAT),
		key("select", "How a backend is chosen for a new flow. hash: by the client's address and port. client: by its address alone, so that all its flows meet one backend. connections: the one with fewer flows, by weight, of the two that the hash prefers.",
			func(s *Service) *Select { return &s.Select }, choice(SelectHash, SelectClient, SelectConnections)).when(steered),
		key("source_pool", "Our addresses towards backends, for mode nat with client_address hide or proxy_v2. Each gives about 60000 flows per backend.",
			func(s *Service) *[]netip.Addr { return &s.SourcePool },
			list[netip.Addr]{of: address(), noun: "addresses", most: MaxPool}).when(hides).otherwise("the virtual address itself"),
		key("outer_source", "Our addresses in the outer header of modes ipip and gue, one of each family at most. The hash of the flow fills the bits a prefix leaves open.",
			func(s *Service) *[]netip.Prefix { return &s.OuterSource },
			list[netip.Prefix]{of: sourcePrefix(), noun: "addresses or prefixes", most: 2}).when(tunnelled).otherwise("the address that the route to the backend gives"),
		key("nodes", "Mode sshd: the nodes that terminate the connections, each its share; this one may be among them or not.",
			func(s *Service) *[]ServiceNode { return &s.Nodes },
			list[ServiceNode]{
				of: serviceNodeShape, noun: "nodes", fresh: defaults.ServiceNode, least: 1, most: MaxNodes,
				id: func(n ServiceNode) string { return n.Name },
			}).when(isSSHD).otherwise("this node alone"),
		key[Service, string]("node_addr", "Address of each of the nodes, where ${name} is that node's own variable.",
			func(s *Service) *string { return &s.NodeAddr }, template{example: `"${ext_addr}"`}).when(spread),
		key("via", "How packets get to the other nodes. dsr: the MAC is rewritten, so all are on one network. ipip, gue: inside IP or UDP to nodes anywhere.",
			func(s *Service) *Mode { return &s.Via }, choice(ModeDSR, ModeIPIP, ModeGUE)).when(spread),
		key("backends", "Who serves the flows. Needed in every mode but sshd.",
			func(s *Service) *[]Backend { return &s.Backends },
			list[Backend]{
				of: backendShape, noun: "backends", fresh: defaults.Backend, least: 1, most: MaxBackends,
				id: func(b Backend) string { return b.Name },
			}).when(listsBackends),
		key("health_check", "How backends are probed.",
			func(s *Service) *HealthCheck { return &s.HealthCheck }, healthCheckShape).when(steered),
		key("last_resort", "Who gets new flows when no backend is up: draining ones.",
			func(s *Service) *LastResort { return &s.LastResort }, choice(LastResortDraining)).when(steered).otherwise("nobody"),
		key("on_down", "What happens to the flows of a backend that goes down: keep or reset.",
			func(s *Service) *OnDown { return &s.OnDown }, choice(OnDownKeep, OnDownReset)).when(steered),
	},
}

func isNAT(s *Service) bool { return s.Mode == ModeNAT }

func hides(s *Service) bool { return isNAT(s) && s.ClientAddress.Hides() }

// Hides says that backends see one of our addresses as source.
func (c ClientAddress) Hides() bool { return c == ClientHide || c == ClientProxyV2 }

func tunnelled(s *Service) bool { return s.Mode.Tunnels() }

func isSSHD(s *Service) bool { return s.Mode == ModeSSHD }

func spread(s *Service) bool { return s.Spread() }

// listsBackends tells whether the file names the backends.
func listsBackends(s *Service) bool { return s.Mode != ModeSSHD }

// steered tells whether the service has backends to choose from.
func steered(s *Service) bool { return listsBackends(s) || s.Spread() }
