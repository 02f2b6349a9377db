package config

import (
	"net/netip"
	"time"
)

var virtualClusterShape = record[VirtualCluster]{
	noun:     "a mapping about a virtual cluster",
	doc:      "Virtual addresses that one node holds at a time and that move together.",
	defaults: defaults.VirtualCluster,
	fields: []field[VirtualCluster]{
		key("name", "Name of the virtual cluster in commands and metrics.",
			func(v *VirtualCluster) *string { return &v.Name },
			text(plainName.String(), "a virtual cluster's name (letters, digits and . _ -)", "edge")).otherwise("the vrid"),
		key("vrid", "Number of the virtual router, one for each interface and family.",
			func(v *VirtualCluster) *int { return &v.VRID }, integer(1, 255)).must(),
		key("priority", "Nodes of the cluster and their priority; the highest that can serve becomes active.",
			func(v *VirtualCluster) *map[string]int { return &v.Priority },
			table[int]{of: integer(1, 254), noun: "a node", name: nodeName, most: MaxClusterNodes}).must(),
		key("preempt", "Whether the role is handed back to a node of higher priority that comes back.",
			func(v *VirtualCluster) *bool { return &v.Preempt }, boolean()),
		key("preempt_delay", "How long that node must have been healthy and synced before.",
			func(v *VirtualCluster) *time.Duration { return &v.PreemptDelay }, duration(0, time.Hour)).when(preempts),
		key("advert_interval", "Time between two adverts of the active node, a multiple of 10ms, of 1s with version 2.",
			func(v *VirtualCluster) *time.Duration { return &v.AdvertInterval }, duration(minAdvert, maxAdvert)).
			otherwise("100ms, and 1s with version 2"),
		key("version", "Version of VRRP: 3, or 2 for IPv4 alone.",
			func(v *VirtualCluster) *int { return &v.Version }, integer(2, 3)),
		key("checksum", "How the checksum of what is sent over IPv4 with version 3 is made: pseudo_header (as keepalived) or plain (as Cisco and Juniper). What comes in is taken either way.",
			func(v *VirtualCluster) *Checksum { return &v.Checksum }, choice(ChecksumPseudoHeader, ChecksumPlain)).when(hasChecksum),
		key("virtual_mac", "MAC address of the virtual addresses: auto (that of the vrid), off (the interface's own), or an address.",
			func(v *VirtualCluster) *VirtualMAC { return &v.VirtualMAC }, virtualMAC()),
		key("addrs", "Own addresses of the nodes on the interfaces, for checks and for unicast.",
			func(v *VirtualCluster) *[]ClusterAddr { return &v.Addrs },
			list[ClusterAddr]{of: clusterAddrShape, noun: "addresses", most: 2 * MaxInterfaces}).otherwise("not known"),
		key("unicast", "Whether adverts go to the own addresses of the other nodes instead of the multicast group.",
			func(v *VirtualCluster) *bool { return &v.Unicast }, boolean()),
		key("auth", "Proof that adverts and heartbeats come from the cluster.",
			func(v *VirtualCluster) *Auth { return &v.Auth }, authShape),
		key("heartbeat", "A link of the nodes' own beside the networks they serve.",
			func(v *VirtualCluster) *Heartbeat { return &v.Heartbeat }, heartbeatShape).when(hasHeartbeat),
		key("vips", "The virtual addresses.",
			func(v *VirtualCluster) *[]VIP { return &v.VIPs },
			list[VIP]{of: vipShape, noun: "virtual addresses", least: 1, most: MaxVIPs,
				id: func(v VIP) string { return v.Addr.Addr().String() }}).must(),
		key("pings", "What must answer for a node to stay active while another node's all answer.",
			func(v *VirtualCluster) *[]Ping { return &v.Pings },
			list[Ping]{of: pingShape, noun: "pings", fresh: defaults.Ping, most: MaxPings}).otherwise("nothing"),
		key("ping_settle", "How long the active node's pings must have failed while a backup's answer before the role moves.",
			func(v *VirtualCluster) *time.Duration { return &v.PingSettle }, duration(2*minPing, time.Hour)).when(hasPings).
			otherwise("the longest interval and timeout of a ping and the heartbeat's timeout"),
		key("notify", "Program and its arguments to run at each change.",
			func(v *VirtualCluster) *[]string { return &v.Notify },
			list[string]{of: argument, noun: "a program and its arguments", most: MaxArguments}).otherwise("none"),
		key("notify_timeout", "How long it may take before it is killed.",
			func(v *VirtualCluster) *time.Duration { return &v.NotifyTimeout }, duration(time.Second, time.Hour)).when(notifies),
		key("announce", "What tells the network who has the virtual addresses: gratuitous ARP, unsolicited neighbour advertisements.",
			func(v *VirtualCluster) *Announce { return &v.Announce }, announceShape),
	},
}

func preempts(v *VirtualCluster) bool     { return v.Preempt }
func hasChecksum(v *VirtualCluster) bool  { return v.Version != 2 }
func hasHeartbeat(v *VirtualCluster) bool { return v.Heartbeat.Enabled() }
func hasPings(v *VirtualCluster) bool     { return len(v.Pings) > 0 }
func notifies(v *VirtualCluster) bool     { return len(v.Notify) > 0 }

var vipShape = record[VIP]{
	noun: "a mapping about a virtual address",
	doc:  "A virtual address.",
	fields: []field[VIP]{
		key("addr", "The address, with the length of the prefix of its network.",
			func(v *VIP) *netip.Prefix { return &v.Addr }, hostPrefix()).must(),
		key("interface", "Interface that the address is reached by.",
			func(v *VIP) *string { return &v.Interface }, interfaceName).must(),
	},
}

var clusterAddrShape = record[ClusterAddr]{
	noun: "a mapping about own addresses",
	doc:  "Own addresses of the nodes on an interface.",
	fields: []field[ClusterAddr]{
		key("interface", "One that has virtual addresses.",
			func(a *ClusterAddr) *string { return &a.Interface }, interfaceName).must(),
		key[ClusterAddr, string]("addr", "Address of each node there, where ${name} is that node's own variable.",
			func(a *ClusterAddr) *string { return &a.NodeAddr }, template{example: `"${ext_addr}"`}).must(),
	},
}
