package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"sluice/internal/config"
	"sluice/internal/node/doctor/nft"
)

// message is something that gateways send each other, and how it passes netfilter.
type message struct {
	what   string
	link   string
	at     nft.Hook
	packet nft.Packet
	rule   string // that lets it pass
}

// checkFirewall looks whether the rules of this machine drop what gateways tell
// each other.
func checkFirewall(ctx context.Context, e *examination) {
	const subject = "firewall"
	var list []message
	for _, c := range e.clusters() {
		if len(c.Peers) > 0 {
			list = append(append(list, adverts(c)...), beats(c)...)
		}
	}
	if len(list) == 0 {
		return
	}
	e.checkLegacy(ctx, list)
	text, err := e.machine.Ruleset(ctx)
	if err != nil || text == nil {
		if len(e.services(config.ModeNAT, config.ModeDSR, config.ModeIPIP, config.ModeGUE)) == 0 && err != nil {
			e.warn(subject, err.Error(), "run doctor as root")
		}
		return // said by checkRuleset
	}
	rules, err := nft.ParseRuleset(text)
	if err != nil {
		e.warn(subject, err.Error(), "see yourself that IP protocol 112 and the ports of heartbeat and flow sync pass: nft list ruleset")
		return
	}
	if !e.checkDropped(subject, list, rules, func(m message) string { return m.rule }) {
		e.pass(subject, "no nftables rule drops adverts, heartbeats or flow sync for certain")
	}
}

// checkDropped finds the messages that rules drop, and says whether there are any.
// rule words one that lets a message pass.
func (e *examination) checkDropped(subject string, list []message, rules *nft.Ruleset, rule func(message) string) bool {
	found := map[string]bool{}
	for _, m := range list {
		by, drops := rules.Walk(m.at, m.packet)
		if text := fmt.Sprintf("%s drops %s", by, m.what); drops && !found[text] {
			found[text] = true
			e.fail(subject, text, "add a rule before it: "+rule(m))
		}
	}
	return len(found) > 0
}

// adverts go to a group as whole frames, or to each peer as packets.
func adverts(c config.VirtualCluster) []message {
	var list []message
	add := func(link string, peer netip.Addr, in, out netip.Addr) {
		at := nft.Output
		if !peer.IsValid() {
			at = nft.Frame
		}
		list = append(list,
			message{"adverts that come by " + link, link, nft.Input, nft.Packet{In: link, From: peer, To: in, Protocol: 112, Answered: peer.IsValid()},
				fmt.Sprintf("meta l4proto 112 iifname %q accept", link)},
			message{"adverts that leave by " + link, link, at, nft.Packet{Out: link, From: in, To: out, Protocol: 112, Answered: peer.IsValid()},
				fmt.Sprintf("meta l4proto 112 oifname %q accept", link)})
	}
	seen := map[config.VIP]bool{}
	for _, v := range c.VIPs {
		at := config.VIP{Interface: v.Interface, Addr: netip.PrefixFrom(groupOf(v), 0)}
		if seen[at] {
			continue
		}
		seen[at] = true
		if !c.Unicast {
			add(v.Interface, netip.Addr{}, groupOf(v), groupOf(v))
			continue
		}
		for _, a := range c.Addrs {
			for _, peer := range a.Peers {
				if a.Interface == v.Interface && peer.IsValid() && peer.Is6() == v.IPv6() {
					add(v.Interface, peer, a.Addr, peer)
				}
			}
		}
	}
	return list
}

// groupOf is the group that adverts of a VIP's family go to.
func groupOf(v config.VIP) netip.Addr {
	if v.IPv6() {
		return netip.MustParseAddr("ff02::12")
	}
	return netip.MustParseAddr("224.0.0.18")
}

// beats are heartbeats and flow sync. Either gateway may open the latter.
func beats(c config.VirtualCluster) []message {
	h := c.Heartbeat
	if !h.Enabled() {
		return nil
	}
	var list []message
	for _, p := range c.Peers {
		for _, kind := range []struct {
			what, name string
			protocol   uint8
			port       int
		}{{"heartbeats", "udp", 17, h.Port}, {"flow sync", "tcp", 6, h.FlowSyncPort}} {
			in := nft.Packet{In: h.Interface, From: p.Heartbeat, To: h.Addr, Protocol: kind.protocol, Port: uint16(kind.port), Answered: kind.protocol == 17}
			out := in
			out.In, out.Out, out.From, out.To = "", h.Interface, h.Addr, p.Heartbeat
			rule := fmt.Sprintf("%s dport %d", kind.name, kind.port)
			list = append(list,
				message{fmt.Sprintf("%s that come by %s (%s)", kind.what, h.Interface, rule), h.Interface, nft.Input, in, fmt.Sprintf("%s iifname %q accept", rule, h.Interface)},
				message{fmt.Sprintf("%s that leave by %s (%s)", kind.what, h.Interface, rule), h.Interface, nft.Output, out, fmt.Sprintf("%s oifname %q accept", rule, h.Interface)})
		}
	}
	return slices.Clip(list)
}
