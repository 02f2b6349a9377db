package keepalived

import (
	"fmt"
	"net/netip"
	"time"
)

// kinds are the modes of LVS in our words.
var kinds = map[string]string{"NAT": "nat", "": "nat", "DR": "dsr", "TUN": "ipip"}

// algorithms are how LVS chooses, in our words.
var algorithms = map[string]string{
	"rr": "hash", "wrr": "hash", "lc": "connections", "wlc": "connections", "sed": "connections", "nq": "connections", "sh": "client", "mh": "client",
}

// server writes the services of one virtual server.
func (w *writer) server(c *configuration, v *server) {
	listens := v.listens
	if g := c.targets[v.group]; v.group != "" && g != nil {
		listens = g.listens
	} else if v.group != "" {
		w.note(v.at, "virtual_server: there is no virtual_server_group %s", quote(v.group))
	}
	if v.protocol == "" {
		w.note(v.at, "virtual_server: left out, for without protocol TCP it is one of UDP, and sluice steers TCP")
		return
	} else if v.protocol != "TCP" {
		w.note(v.at, "virtual_server: left out, for its protocol is %s, and sluice steers TCP", quote(v.protocol))
		return
	}
	if _, known := kinds[v.kind]; !known {
		w.note(v.at, "virtual_server: left out, for its lb_kind is %s, which is none of NAT, DR, TUN", quote(v.kind))
		return
	}
	if _, known := algorithms[v.algo]; !known {
		w.note(v.at, "lb_algo %s becomes select: hash", quote(v.algo))
	}
	for _, listen := range listens {
		w.service(v, listen)
	}
}

// service writes one service.
func (w *writer) service(v *server, listen netip.AddrPort) {
	if w.listens[listen] {
		w.note(v.at, "virtual_server %s: left out here, for there is one already", listen)
		return
	}
	mode := kinds[v.kind]
	if v.gue && mode == "ipip" {
		mode = "gue"
	}
	backends := w.backends(v, listen, mode)
	if len(backends) == 0 {
		w.note(v.at, "virtual_server %s: left out, for it has no real_server", listen)
		return
	}
	w.listens[listen] = true
	out := func(format string, args ...any) { fmt.Fprintf(&w.serviceText, "    "+format+"\n", args...) }
	fmt.Fprintf(&w.serviceText, "  - listen: %q\n", listen)
	out("mode: %s", mode)
	if mode == "nat" {
		out("client_address: keep") // as LVS does
	}
	choice := algorithms[v.algo]
	switch {
	case v.persistence:
		choice = "client"
	case choice == "":
		choice = "hash"
	}
	out("select: %s", choice)
	out("backends:")
	for _, b := range backends {
		out("  - {addr: %q, weight: %d}", b.addr, b.weight)
	}
	w.healthCheck(v, out)
}

// backends are the real servers that a service can have, with their weights.
func (w *writer) backends(v *server, listen netip.AddrPort, mode string) (all []real) {
	const most = 1000 // settings know no larger weight
	largest := most
	for _, r := range v.reals {
		largest = max(largest, r.weight)
	}
	known := map[netip.AddrPort]bool{}
	for _, r := range v.reals {
		b := *r
		if b.addr.Port() == 0 {
			b.addr = netip.AddrPortFrom(b.addr.Addr(), listen.Port())
		}
		if mode != "nat" && b.addr.Port() != listen.Port() {
			w.note(b.at, "real_server %s: its port becomes %d, for in mode %s ports are not rewritten", b.addr, listen.Port(), mode)
			b.addr = netip.AddrPortFrom(b.addr.Addr(), listen.Port())
		}
		switch {
		case (mode == "nat" || mode == "dsr") && b.addr.Addr().Is4() != listen.Addr().Is4():
			w.note(b.at, "real_server %s: left out, for %s is of another family", b.addr, listen)
			continue
		case known[b.addr]:
			w.note(b.at, "real_server %s: left out here, for there is one already", b.addr)
			continue
		}
		known[b.addr] = true
		b.weight = w.weight(v, b, largest, most)
		all = append(all, b)
	}
	return all
}

// weight is the weight of a backend within our limits.
func (w *writer) weight(v *server, b real, largest, most int) int {
	switch scaled := max(1, b.weight*most/largest); {
	case b.weight == 0:
		return 0
	case (v.algo == "rr" || v.algo == "lc") && b.weight > 1:
		w.note(b.at, "real_server %s: its weight of %d becomes 1, for lb_algo %s has none", b.addr, b.weight, v.algo)
		return 1
	case largest > most && scaled != b.weight:
		w.note(b.at, "real_server %s: its weight of %d becomes %d, as all do in proportion", b.addr, b.weight, scaled)
		return scaled
	default:
		return b.weight
	}
}

// healthCheck writes how the backends of a service are checked: they are all in
// one way, that of the first.
func (w *writer) healthCheck(v *server, out func(string, ...any)) {
	var first *check
	for _, r := range v.reals {
		switch {
		case r.check != nil && first == nil:
			first = r.check
		case r.check != nil && (r.check.timeout != first.timeout || r.check.retry != first.retry):
			w.note(r.check.at, "the check of the first real_server is that of all")
		}
	}
	if first == nil {
		out(`health_check: {type: "off"}`)
		return
	}
	for _, r := range v.reals {
		if r.check == nil {
			w.note(r.at, "real_server %s: is checked as the others are", r.addr)
		}
	}
	interval := w.within(v.at, "delay_loop", v.delay, 100*time.Millisecond, time.Hour)
	timeout := w.within(first.at, "connect_timeout", first.timeout, 50*time.Millisecond, min(time.Minute, interval*9/10).Truncate(10*time.Millisecond))
	out("health_check: {type: tcp, interval: %s, timeout: %s, rise: 1, fall: %d}", span(interval), span(timeout), min(first.retry+1, 100))
}
