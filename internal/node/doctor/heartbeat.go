package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"sluice/internal/config"
)

// checkHeartbeats looks at the links on which gateways tell each other how they
// are.
func checkHeartbeats(ctx context.Context, e *examination) {
	for _, c := range e.clusters() {
		if len(c.Peers) == 0 {
			continue
		}
		subject := "heartbeat of " + c.Name
		if !c.Heartbeat.Enabled() {
			e.warn(subject, "there is none: what happens when one network fails is decided by adverts alone",
				"add heartbeat to the virtual cluster, on a link of the gateways' own")
			continue
		}
		if e.checkBeatLink(subject, c) {
			e.checkBeatPeers(ctx, subject, c)
		}
	}
}

func (e *examination) checkBeatLink(subject string, c config.VirtualCluster) bool {
	h := c.Heartbeat
	l, found := e.named(h.Interface)
	if !found {
		e.fail(subject, fmt.Sprintf("%s is no interface of this machine", h.Interface), "correct virtual_clusters.heartbeat.interface, or make the interface")
		return false
	}
	if !slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr() == h.Addr }) {
		e.fail(subject, fmt.Sprintf("%s does not have the address %s", h.Interface, h.Addr),
			fmt.Sprintf("ip address add %s/LENGTH dev %s, or correct it in nodes", h.Addr, h.Interface))
		return false
	}
	if c, err := e.machine.Card(h.Interface); err != nil {
		e.warn(subject, err.Error(), "see that the interface is there")
	} else if !c.Up {
		e.fail(subject, h.Interface+" is down", "ip link set "+h.Interface+" up")
		return false
	}
	if slices.ContainsFunc(c.VIPs, func(v config.VIP) bool { return v.Interface == h.Interface }) {
		e.warn(subject, fmt.Sprintf("%s has VIPs, too, so one cable cuts both", h.Interface), "use a link of its own")
	}
	return true
}

// checkBeatPeers asks the node whether it hears the others, or else whether they
// can be reached.
func (e *examination) checkBeatPeers(ctx context.Context, subject string, c config.VirtualCluster) {
	told := e.cluster(c.Name)
	if told == nil {
		e.checkBeatPings(ctx, subject, c)
		return
	}
	for _, p := range told.Peers {
		switch {
		case !p.Alive:
			e.fail(subject, fmt.Sprintf("nothing is heard of %s", p.Node),
				fmt.Sprintf("see that \"sluice run\" runs there, that the link works (ping -I %s %s), and that nothing filters UDP port %d", c.Heartbeat.Interface, p.Addr.Addr(), c.Heartbeat.Port))
		case !p.HearsUs:
			e.fail(subject, fmt.Sprintf("%s is heard, but does not hear this gateway", p.Node), "frames pass one way only: look at cable, switch port and firewalls")
		case p.LossIn > 0.1 || p.LossOut > 0.1:
			e.warn(subject, fmt.Sprintf("of the latest ones with %s %.0f%% were lost on the way here and %.0f%% on the way there", p.Node, 100*p.LossIn, 100*p.LossOut),
				"look at cable and switch port, and at the load of both machines")
		default:
			e.pass(subject, "%s is heard and hears this gateway", p.Node)
		}
	}
}

func (e *examination) checkBeatPings(ctx context.Context, subject string, c config.VirtualCluster) {
	var hosts []netip.Addr
	for _, p := range c.Peers {
		hosts = append(hosts, p.Heartbeat)
	}
	answers, err := e.machine.Ping(ctx, c.Heartbeat.Interface, hosts)
	if err != nil {
		e.warn(subject, err.Error(), "run doctor as root")
		return
	}
	for _, p := range c.Peers {
		if a := answers[p.Heartbeat]; a.OK {
			e.pass(subject, "%s at %s answers pings", p.Node, p.Heartbeat)
		} else {
			e.warn(subject, fmt.Sprintf("%s at %s does not answer pings%s", p.Node, p.Heartbeat, because(a)), "see that it is up, and look at the link between")
		}
	}
}

// because adds why something could not be asked.
func because(a pong) string {
	if a.Fault == "" {
		return ""
	}
	return ": " + a.Fault
}
