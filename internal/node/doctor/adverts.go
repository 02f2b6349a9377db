package doctor

import (
	"context"
	"fmt"
	"slices"

	"sluice/internal/config"
	"sluice/internal/control"
)

// checkAdverts looks whether adverts pass where heartbeats say that they are sent.
func checkAdverts(_ context.Context, e *examination) {
	for _, c := range e.clusters() {
		if len(c.Peers) == 0 {
			continue
		}
		if told := e.cluster(c.Name); told != nil {
			e.checkHeard(c, told)
		}
	}
}

// interfacesOf are those with VIPs, each once.
func interfacesOf(c config.VirtualCluster) []string {
	var list []string
	for _, v := range c.VIPs {
		if !slices.Contains(list, v.Interface) {
			list = append(list, v.Interface)
		}
	}
	return list
}

// checkHeard: a backup that hears by heartbeat of an active gateway must hear its
// adverts, too.
func (e *examination) checkHeard(c config.VirtualCluster, told *control.VirtualCluster) {
	active := slices.IndexFunc(told.Peers, func(p control.GatewayPeer) bool { return p.Alive && p.State == control.VIPActive })
	if told.State != control.VIPBackup || active < 0 {
		return
	}
	for _, s := range told.Segments {
		subject := "adverts on " + s.Interface
		switch {
		case s.ActiveAddr.IsValid():
			e.pass(subject, "those of %s are heard from %s", told.Peers[active].Node, s.ActiveAddr)
		case c.Unicast:
			e.fail(subject, fmt.Sprintf("no %s advert of %s is heard, which is active by its heartbeat", s.Family, told.Peers[active].Node),
				"let IP protocol 112 pass between the gateways; \"sluice show vips\" tells what was refused")
		default:
			e.fail(subject, fmt.Sprintf("no %s advert of %s is heard, which is active by its heartbeat", s.Family, told.Peers[active].Node),
				"let IP protocol 112 to 224.0.0.18 and ff02::12 pass firewalls and switches (IGMP and MLD snooping), or use unicast: true; \"sluice show vips\" tells what was refused")
		}
	}
}
