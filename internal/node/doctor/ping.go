package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"sluice/internal/config"
	"sluice/internal/control"
)

// checkPings looks at what must answer: that it is none of the gateways, answers
// now, and is always up.
func checkPings(ctx context.Context, e *examination) {
	for _, c := range e.clusters() {
		for i, p := range c.Pings {
			e.checkPing(ctx, fmt.Sprintf("ping %d of %s", i+1, c.Name), c, p)
			if told := e.cluster(c.Name); told != nil && i < len(told.Pings) {
				e.checkFlaps(fmt.Sprintf("ping %d of %s", i+1, c.Name), told.Pings[i])
			}
		}
	}
}

func (e *examination) checkPing(ctx context.Context, subject string, c config.VirtualCluster, p config.Ping) {
	if _, found := e.named(p.Interface); !found {
		e.fail(subject, fmt.Sprintf("leaves by %s, which is no interface of this machine", p.Interface), "correct virtual_clusters.pings.interface")
		return
	}
	if !e.checkTargets(subject, c, p) {
		return
	}
	answers, err := e.machine.Ping(ctx, p.Interface, p.Hosts)
	if err != nil {
		e.warn(subject, err.Error(), "run doctor as root")
		return
	}
	silent := 0
	for _, host := range p.Hosts {
		a := answers[host]
		switch {
		case !a.OK:
			silent++
			e.warn(subject, fmt.Sprintf("%s does not answer by %s%s", host, p.Interface, because(a)), "use routers and switches that are always up and answer pings")
		case a.RTT > p.Timeout/2:
			e.warn(subject, fmt.Sprintf("%s took %v of the %v it has", host, a.RTT.Round(1e6), p.Timeout), "use one that is nearer, or a longer timeout")
		}
	}
	switch {
	case silent == len(p.Hosts):
		e.fail(subject, fmt.Sprintf("no host of it answers by %s: this gateway counts as impaired", p.Interface), "correct the hosts, or what keeps them from answering")
	case silent == 0:
		e.pass(subject, "all hosts answer by %s", p.Interface)
	}
}

// checkTargets: a host that is one of the gateways says nothing about the network,
// and one that follows the role answers whoever has it.
func (e *examination) checkTargets(subject string, c config.VirtualCluster, p config.Ping) bool {
	const hint = "ping a router or switch that is always up"
	for _, host := range p.Hosts {
		if e.elected(host) {
			e.fail(subject, fmt.Sprintf("%s is a VIP, which follows the role", host), hint)
			return false
		}
		if l, found := e.find(func(p netip.Prefix) bool { return p.Addr() == host }); found {
			e.fail(subject, fmt.Sprintf("%s is an address of %s here, which answers whatever the network does", host, l.Name), hint)
			return false
		}
		if node, found := peerAt(c, host); found {
			e.fail(subject, fmt.Sprintf("%s is an address of %s, whose loss is no fault of this gateway", host, node), hint)
			return false
		}
	}
	return true
}

// peerAt is the other node that has an address, as far as the settings tell.
func peerAt(c config.VirtualCluster, addr netip.Addr) (string, bool) {
	for i, p := range c.Peers {
		if p.Heartbeat == addr || slices.ContainsFunc(c.Addrs, func(a config.ClusterAddr) bool { return i < len(a.Peers) && a.Peers[i] == addr }) {
			return p.Node, true
		}
	}
	return "", false
}

// checkFlaps: what goes up and down by itself moves the role for nothing.
func (e *examination) checkFlaps(subject string, p control.PingItem) {
	for _, h := range p.Hosts {
		if h.Flaps > 2 || h.OK && h.Loss > 0.1 {
			e.warn(subject, fmt.Sprintf("%s went silent %d times and left %.0f%% of the latest unanswered", h.Addr, h.Flaps, 100*h.Loss),
				"use a host that is always up, or a larger fall")
		}
	}
}
