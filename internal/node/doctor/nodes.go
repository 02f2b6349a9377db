package doctor

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"sluice/internal/config"
	"sluice/internal/control"
	"sluice/internal/node/links"
)

// checkNodes looks at services that end on several nodes: that one node has the
// VIP, that this one's share ends here, and that the others can be reached.
func checkNodes(ctx context.Context, e *examination) {
	seen := make(map[netip.Addr]bool)
	for _, s := range e.services(config.ModeSSHD) {
		if !s.Spread() {
			continue
		}
		if vip := s.Listen.Addr(); !seen[vip] && !e.elected(vip) {
			seen[vip] = true
			e.checkHolder(ctx, vip)
		}
		asked := make(map[string][]net.HardwareAddr)
		for _, b := range s.Backends {
			if b.Local {
				e.checkOwnShare(s, b)
			} else {
				e.checkNode(ctx, s, b, asked)
			}
		}
	}
}

// checkHolder: the node with the VIP on an interface spreads its connections. A
// node without it sees by ARP whether there is one; IPv6 has no such question
// that nobody learns from.
func (e *examination) checkHolder(ctx context.Context, vip netip.Addr) {
	subject := "VIP " + vip.String()
	if holder, found := e.holder(vip); found {
		e.pass(subject, "is an address of %s: this node spreads its connections", holder.Name)
		return
	}
	near, found := e.find(func(p netip.Prefix) bool { return p.Contains(vip) && p.Addr() != vip })
	if !found {
		e.pass(subject, "is no address of an interface here: this node takes what the one that has it sends on")
		return
	}
	bounded, cancel := context.WithTimeout(ctx, whoHasTimeout)
	defer cancel()
	answers, err := e.machine.WhoHas(bounded, near.Name, vip)
	switch {
	case err != nil:
		e.warn(subject, err.Error(), "run doctor as root")
	case len(answers) == 0:
		e.fail(subject, "nobody on the network of "+near.Name+" has it", fmt.Sprintf("on one node: ip address add %s dev %s", netip.PrefixFrom(vip, vip.BitLen()), near.Name))
	case len(answers) > 1:
		e.fail(subject, fmt.Sprintf("%d machines on the network of %s say they have it", len(answers), near.Name), "leave it on one; \"sluice doctor\" on the others says where it is")
	default:
		e.pass(subject, "is had by %s: this node takes what it sends on", answers[0])
	}
}

// holder is the interface that makes this the node that has a VIP: lo does not.
func (e *examination) holder(vip netip.Addr) (links.Link, bool) {
	for _, index := range slices.Sorted(maps.Keys(e.links)) {
		l := e.links[index]
		if !l.Loopback && slices.ContainsFunc(l.Addrs, func(p netip.Prefix) bool { return p.Addr() == vip }) {
			return l, true
		}
	}
	return links.Link{}, false
}

// checkOwnShare looks at what this node needs to terminate connections. All but
// the address is the running node's own work.
func (e *examination) checkOwnShare(s config.Service, b config.Backend) {
	subject := fmt.Sprintf("node %s in %s", b.Name, s.Name)
	if _, found := e.find(func(p netip.Prefix) bool { return p.Addr() == b.Addr.Addr() }); !found {
		e.fail(subject, fmt.Sprintf("has the address %s, which no interface here has", b.Addr.Addr()), "correct it in nodes, or set node.name to who this is")
	}
	report, hint := e.fail, "see the log of the node"
	if !e.node.answers {
		report, hint = e.warn, "start it with \"sluice run\", which sees to it"
	}
	vip := s.Listen.Addr()
	w, found, err := e.machine.Way(vip)
	switch {
	case err != nil:
		e.warn(subject, err.Error(), "run doctor as root")
	case !found || !e.loopback(w.Link):
		report(subject, fmt.Sprintf("packets for the VIP %s do not end here", vip), hint+", or: "+localRoute(vip))
	default:
		e.pass(subject, "packets for the VIP end here")
	}
	if vip.Is4() {
		e.checkQuiet(subject, report, hint)
	}
	for _, known := range e.node.backends {
		if known.Addr == b.Addr && known.State == control.StateDown {
			e.fail(subject, "down by its health check: "+known.Reason, "hand a listening socket over to the service, see \"sluice show drops\" for no_listener")
		}
	}
}

func localRoute(vip netip.Addr) string {
	family := ""
	if vip.Is6() {
		family = "-6 "
	}
	return fmt.Sprintf("ip %sroute add local %s dev lo", family, vip)
}

func (e *examination) loopback(name string) bool {
	for _, l := range e.links {
		if l.Name == name {
			return l.Loopback
		}
	}
	return false
}

// checkQuiet: with a local route alone the kernel answers ARP for the VIP on
// every interface.
func (e *examination) checkQuiet(subject string, report func(subject, text, hint string), hint string) {
	for _, index := range slices.Sorted(maps.Keys(e.links)) {
		l := e.links[index]
		if l.Loopback || !e.carries(links.Carrier(e.links, l).Name) {
			continue
		}
		for _, want := range []struct {
			name  string
			least int
		}{{"arp_ignore", 1}, {"arp_announce", 2}} {
			value, err := e.greater(l.Name, want.name)
			switch {
			case err != nil:
				e.warn(subject, err.Error(), "run doctor where /proc/sys is mounted")
			case value < want.least:
				report(subject, fmt.Sprintf("net.ipv4.conf.%s.%s is %d: this machine answers ARP for VIPs it does not have", l.Name, want.name, value),
					fmt.Sprintf("%s, or: sysctl -w net.ipv4.conf.%s.%s=%d", hint, l.Name, want.name, want.least))
			}
		}
	}
}

// greater is the value in force of a setting that an interface and all of them
// have.
func (e *examination) greater(link, name string) (int, error) {
	most := 0
	for _, of := range []string{"all", link} {
		text, err := e.machine.Sysctl("net", "ipv4", "conf", of, name)
		if err != nil {
			return 0, err
		}
		value, err := strconv.Atoi(text)
		if err != nil {
			return 0, fmt.Errorf("read sysctl %s of %s: %v", name, of, err)
		}
		most = max(most, value)
	}
	return most, nil
}

// checkNode looks at another node as at a backend of the mode that gets packets
// to it.
func (e *examination) checkNode(ctx context.Context, s config.Service, b config.Backend, asked map[string][]net.HardwareAddr) {
	subject := fmt.Sprintf("node %s in %s", b.Name, s.Name)
	if !e.checkWay(subject, b.Addr.Addr()) {
		return
	}
	w, found, err := e.machine.Way(b.Addr.Addr())
	if err != nil || !found {
		return // said by checkWay
	}
	if s.Via.Tunnels() {
		e.checkRoom(subject, s, b, w)
	} else if w.Gateway.IsValid() {
		e.fail(subject, fmt.Sprintf("is behind the router %s: a frame with the VIP as destination comes back from there", w.Gateway),
			"set node_addr to addresses on a network that all nodes are on, or via: gue")
		return
	}
	e.checkAnswers(subject, b, "see that \"sluice run\" runs there by the same settings and the service has a listener; \"sluice doctor\" there tells more")
	if _, here := e.holder(s.Listen.Addr()); here && s.Listen.Addr().Is4() && !w.Gateway.IsValid() {
		e.checkSilent(ctx, subject, s.Listen.Addr(), w, asked)
	}
}
