package view

import (
	"maps"

	"sluice/internal/control"
	"sluice/vip"
)

// VirtualClusters are shown as the vip process tells of them.
func VirtualClusters(s vip.Status) []control.VirtualCluster {
	list := make([]control.VirtualCluster, 0, len(s.Clusters))
	for _, c := range s.Clusters {
		list = append(list, virtualCluster(c))
	}
	return list
}

func virtualCluster(c vip.ClusterStatus) control.VirtualCluster {
	out := control.VirtualCluster{
		Name: c.Name, VRID: uint8(c.VRID), State: control.VIPState(c.State), Since: c.Since, Cause: c.Cause, Reason: c.Reason,
		Term: c.Term, Priority: control.Priority{Base: c.Base, Effective: c.Current}, Preempt: c.Preempt,
		Eligible: len(c.Faults) == 0, Faults: c.Faults, Changes: maps.Clone(c.Changes),
	}
	for _, v := range c.VIPs {
		out.VIPs = append(out.VIPs, control.VIP{Addr: v.Addr, Interface: v.Interface, MAC: v.MAC, Owner: v.Owner})
	}
	for _, p := range c.Peers {
		out.Peers = append(out.Peers, gatewayPeer(p))
	}
	for _, l := range c.LANs {
		out.Segments = append(out.Segments, segment(l))
	}
	for _, p := range c.Pings {
		out.Pings = append(out.Pings, pingItem(p))
	}
	for _, l := range c.Links {
		out.Links = append(out.Links, control.Link{Interface: l.Interface, Up: l.Problem == ""})
	}
	for _, a := range c.Alarms {
		out.Alarms = append(out.Alarms, control.ClusterAlarm{
			Name: a.Name, Severity: alarmSeverity[a.Name], Since: a.Since, Text: a.Text, Hint: alarmHints[a.Name],
		})
	}
	return out
}

func gatewayPeer(p vip.PeerStatus) control.GatewayPeer {
	return control.GatewayPeer{
		Node: p.Node, Addr: p.Addr, State: control.VIPState(p.State), Priority: p.Base, Effective: p.Current,
		Alive: p.Alive, Age: control.Seconds(p.Age), HearsUs: p.HearsUs, LossIn: p.LossIn, LossOut: p.LossOut,
		PingsOK: p.PingsOK, Synced: p.Synced, Version: p.Version, Generation: p.Generation,
	}
}

func segment(l vip.LANStatus) control.Segment {
	family := "ipv4"
	if l.IPv6 {
		family = "ipv6"
	}
	return control.Segment{
		Interface: l.Interface, Family: family, AdvertsIn: l.In, AdvertsOut: l.Out, OtherChecksum: l.Mismatch,
		Refused: maps.Clone(l.Refused), ActiveAddr: l.ActiveAddr,
	}
}

func pingItem(p vip.PingStatus) control.PingItem {
	out := control.PingItem{Interface: p.Interface, OK: p.OK}
	for _, h := range p.Hosts {
		out.Hosts = append(out.Hosts, control.PingHost{Addr: h.Addr, OK: h.OK, RTT: control.Seconds(h.RTT), Loss: h.Loss, Flaps: h.Flaps})
	}
	return out
}

// alarmSeverity names what is worse than a warning.
var alarmSeverity = map[string]string{
	"two_active": "critical", "isolated": "critical", "fault": "critical", "adverts": "critical",
	"stray_vip": "critical",
}

// alarmHints say what to do.
var alarmHints = map[string]string{
	"heartbeat_link":    "look at the other gateway, the heartbeat link, and firewalls on its UDP port",
	"heartbeat_refused": "give every gateway the same cluster key (the file cluster.key in node.data_dir)",
	"adverts_refused":   "give every gateway the same keys (auth.keys), or find out who advertises",
	"checksum":          "set checksum to what the other router makes: plain, or pseudo_header",
	"asymmetric":        "frames pass one way only: look at cable, switch port and firewall of the heartbeat link",
	"segment_split":     "look at the switch between the gateways: the heartbeat comes through, adverts do not",
	"foreign":           "another machine uses this VRID: change vrid, or turn that machine off",
	"not_fresh":         "set the clocks of all gateways (NTP)",
	"clock":             "set the clocks of all gateways (NTP)",
	"two_active":        "look at the links between the gateways; it ends by itself once one of them works",
	"isolated":          "look at this machine's cables and switch ports",
	"claim_unanswered":  "look at the log of the active gateway; if it is keepalived, take vmac_xmit_base out, or set virtual_mac: off",
	"ping":              "look at the hosts and the way there",
	"fault":             "put right what the text says; \"sluice doctor\" tells more",
	"link":              "look at cable and switch port",
	"settings_differ":   "apply the same settings on all gateways",
	"adverts":           "look at the interface",
	"history":           "look at node.data_dir",
	"stray_vip":         "take it off (ip address del ADDRESS dev INTERFACE), and out of what put it there: the network's configuration, keepalived, a script",
}

// History is what changed; of one cluster, or with "" of all.
func History(changes []vip.Change, cluster string) []control.StateChange {
	list := []control.StateChange{}
	for _, c := range changes {
		if cluster != "" && c.Cluster != cluster {
			continue
		}
		list = append(list, control.StateChange{
			At: c.Time, Cluster: c.Cluster, StateWas: control.VIPState(c.From), State: control.VIPState(c.To),
			Term: c.Term, Cause: c.Cause, Reason: c.Reason,
		})
	}
	return list
}
