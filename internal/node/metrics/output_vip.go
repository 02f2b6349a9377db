package metrics

import (
	"strconv"
	"time"

	"sluice/internal/control"
)

// clusters shows virtual clusters, and the flow sync once for each stream.
func (o output) clusters(list []control.VirtualCluster) {
	streams := make(map[[2]string]bool)
	for _, c := range list {
		o.cluster(c)
		for _, p := range c.Peers {
			o.peer(c.Name, p)
		}
		for _, s := range c.Sync {
			if stream := [2]string{s.Peer, s.Direction}; !streams[stream] {
				streams[stream] = true
				o.sync(s)
			}
		}
	}
}

func (o output) cluster(c control.VirtualCluster) {
	for _, state := range control.VIPStates {
		o.gauge(vipState, truth(c.State == state), c.Name, string(state))
	}
	if !c.Since.IsZero() {
		o.gauge(vipSince, seconds(c.Since), c.Name)
	}
	for cause, n := range c.Changes {
		o.counter(vipChanges, n, c.Name, cause)
	}
	o.gauge(vipTerm, float64(c.Term), c.Name)
	o.gauge(vipPriority, float64(c.Priority.Base), c.Name, "base")
	o.gauge(vipPriority, float64(c.Priority.Effective), c.Name, "effective")
	o.gauge(vipEligible, truth(c.Eligible), c.Name)
	for _, v := range c.VIPs {
		o.gauge(vipOwner, truth(v.Owner), c.Name, v.Addr.Addr().String(), v.Interface)
	}
	for _, s := range c.Segments {
		o.counter(vipAdverts, s.AdvertsIn, c.Name, s.Interface, s.Family, "in")
		o.counter(vipAdverts, s.AdvertsOut, c.Name, s.Interface, s.Family, "out")
		for reason, n := range s.Refused {
			o.counter(vipRefused, n, c.Name, s.Interface, s.Family, reason)
		}
	}
	for _, l := range c.Links {
		o.gauge(vipLink, truth(l.Up), c.Name, l.Interface)
	}
	for i, p := range c.Pings {
		o.ping(c.Name, strconv.Itoa(i+1), p)
	}
	byName := make(map[string]float64)
	for _, a := range c.Alarms {
		byName[a.Name]++
	}
	for name, n := range byName {
		o.gauge(clusterAlarms, n, c.Name, name)
	}
}

// ping shows an item by its number: two items may share an interface.
func (o output) ping(cluster, item string, p control.PingItem) {
	o.gauge(vipPing, truth(p.OK), cluster, item, p.Interface)
	for _, h := range p.Hosts {
		host := h.Addr.String()
		o.gauge(vipPingHost, truth(h.OK), cluster, item, host)
		o.gauge(vipPingRTT, time.Duration(h.RTT).Seconds(), cluster, item, host)
	}
}

func (o output) peer(cluster string, p control.GatewayPeer) {
	labels := []string{cluster, p.Node}
	o.gauge(peerAlive, truth(p.Alive), labels...)
	o.gauge(peerHears, truth(p.HearsUs), labels...)
	o.gauge(peerAge, time.Duration(p.Age).Seconds(), labels...)
	o.gauge(peerLoss, p.LossIn, append(labels, "in")...)
	o.gauge(peerLoss, p.LossOut, append(labels, "out")...)
	o.gauge(peerSynced, truth(p.Synced), labels...)
	for _, state := range control.VIPStates {
		o.gauge(peerIsState, truth(p.State == state), append(labels, string(state))...)
	}
}

func (o output) sync(s control.FlowSync) {
	o.gauge(syncSynced, truth(s.State == "synced"), s.Peer, s.Direction)
	o.gauge(syncLag, time.Duration(s.Lag).Seconds(), s.Peer, s.Direction)
	o.counter(syncFlows, s.Flows, s.Peer, s.Direction)
	o.counter(syncResyncs, s.Resyncs, s.Peer, s.Direction)
}
