package node

import (
	"net/netip"
	"reflect"
	"slices"

	"sluice/internal/config"
	"sluice/steering/flowsync"
	"sluice/vip"
)

// syncPlan is with whom to sync, and where.
type syncPlan struct {
	Listen []syncAddr
	Peers  []syncPeer
}

// syncAddr is an address of this node on a heartbeat link.
type syncAddr struct {
	Interface string
	Addr      netip.AddrPort
}

type syncPeer struct {
	Node string
	From syncAddr
	Addr netip.AddrPort
}

// syncPlanOf is what settings say about flow sync.
func syncPlanOf(s *config.Settings) syncPlan {
	var p syncPlan
	seen := map[string]bool{}
	for _, c := range s.VirtualClusters {
		h := c.Heartbeat
		if !c.Member || !h.Enabled() || len(c.Peers) == 0 {
			continue
		}
		own := syncAddr{h.Interface, netip.AddrPortFrom(h.Addr, uint16(h.FlowSyncPort))}
		if !slices.Contains(p.Listen, own) {
			p.Listen = append(p.Listen, own)
		}
		for _, peer := range c.Peers {
			// One stream for all clusters that two gateways have in common.
			if !seen[peer.Node] {
				seen[peer.Node] = true
				p.Peers = append(p.Peers, syncPeer{peer.Node, own, netip.AddrPortFrom(peer.Heartbeat, own.Addr.Port())})
			}
		}
	}
	return p
}

// shared says whether flows are synced with other gateways.
func shared(s *config.Settings) bool { return len(syncPlanOf(s).Peers) > 0 }

func (p syncPlan) equal(o syncPlan) bool { return reflect.DeepEqual(p, o) }

// clustersOf are the virtual clusters as flow sync goes by them.
func clustersOf(s *config.Settings, roles []vip.Role) []flowsync.Cluster {
	var list []flowsync.Cluster
	for _, c := range s.VirtualClusters {
		if !c.Member || !c.Heartbeat.Enabled() || len(c.Peers) == 0 {
			continue
		}
		one := flowsync.Cluster{Name: c.Name}
		for _, v := range c.VIPs {
			one.VIPs = append(one.VIPs, v.Addr.Addr())
		}
		for _, p := range c.Peers {
			one.Gateways = append(one.Gateways, p.Node)
		}
		for _, r := range roles {
			if r.Name == c.Name {
				one.Active, one.Term = r.Active, r.Term
			}
		}
		list = append(list, one)
	}
	return list
}
