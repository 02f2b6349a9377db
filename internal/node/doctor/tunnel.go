package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"sluice/internal/config"
)

const (
	// clientMTU is what clients send where nothing tells them otherwise.
	clientMTU = 1500
	// minimumV6 is the least that an IPv6 path must carry (RFC 8200).
	minimumV6 = 1280
)

// checkTunnels looks at what modes ipip and gue need of each backend: to take
// packets out and to hold the VIP, and of the way there: to carry the outer
// header, too.
func checkTunnels(ctx context.Context, e *examination) {
	for _, s := range e.services(config.ModeIPIP, config.ModeGUE) {
		asked := make(map[string][]net.HardwareAddr)
		for _, b := range s.Backends {
			subject := fmt.Sprintf("%s %s at %s", s.Mode, s.Name, b.Name)
			w, found, err := e.machine.Way(b.Addr.Addr())
			if err != nil || !found {
				continue // said by checkBackends
			}
			e.checkHolds(subject, s, b)
			e.checkRoom(subject, s, b, w)
			if s.Listen.Addr().Is4() && !w.Gateway.IsValid() {
				e.checkSilent(ctx, subject, s.Listen.Addr(), w, asked)
			}
		}
	}
}

// outerRoom is what the outer header to a backend takes.
func outerRoom(mode config.Mode, backend netip.Addr) int {
	room := 40
	if backend.Is4() {
		room = 20
	}
	if mode == config.ModeGUE {
		room += 8
	}
	return room
}

// checkRoom says whether the clients' packets fit the first link with their
// outer header. What lies behind it nobody here can see.
func (e *examination) checkRoom(subject string, s config.Service, b config.Backend, w way) {
	c, err := e.machine.Card(w.Link)
	if err != nil {
		e.warn(subject, err.Error(), "see that the interface is there")
		return
	}
	room := outerRoom(s.Carrier(), b.Addr.Addr())
	left := c.MTU - room
	headers := 40
	if s.Listen.Addr().Is6() {
		headers = 60
	}
	switch {
	case s.Listen.Addr().Is6() && left < minimumV6:
		e.fail(subject, fmt.Sprintf("the MTU %d of %s leaves %d bytes behind the outer header, less than IPv6 must have", c.MTU, w.Link, left),
			fmt.Sprintf("ip link set %s mtu %d, and the same on the whole way", w.Link, clientMTU+room))
	case left < clientMTU:
		e.warn(subject, fmt.Sprintf("the MTU %d of %s leaves %d bytes behind the outer header: clients are told so by ICMP, which firewalls near them must let pass", c.MTU, w.Link, left),
			fmt.Sprintf("raise the MTU of the whole way to %d, or on the backend: ip route change default ... advmss %d", clientMTU+room, left-headers))
	default:
		e.pass(subject, "the MTU %d of %s has room for the outer header", c.MTU, w.Link)
	}
}

// checkDecap looks at a backend that takes packets out of others by itself: at
// the interfaces they come in by, and at the VIPs they are for.
func checkDecap(_ context.Context, e *examination) {
	d := e.settings.Dataplane.Decap
	for _, name := range d.Interfaces {
		subject := "interface " + name
		c, err := e.machine.Card(name)
		if err != nil {
			e.fail(subject, err.Error(), "name an interface of this machine in dataplane.decap.interfaces")
			continue
		}
		if !c.Up {
			e.fail(subject, "is down", "ip link set "+name+" up")
		}
		e.checkProgram(subject, name, c)
		e.checkMode(subject, name, c)
		e.checkReversePath(name)
	}
	silent := false
	for _, vip := range d.VIPs {
		e.checkHeld(vip)
		silent = silent || vip.Is4()
	}
	if silent {
		e.checkARP()
	}
}

// checkHeld: a packet that was taken out is the stack's, which takes what is for
// an address of its own.
func (e *examination) checkHeld(vip netip.Addr) {
	subject := "VIP " + vip.String()
	for _, l := range e.links {
		for _, p := range l.Addrs {
			switch {
			case p.Addr() != vip:
			case l.Loopback:
				e.pass(subject, "is on %s", l.Name)
				return
			default:
				e.fail(subject, fmt.Sprintf("is on %s, which answers for it", l.Name),
					fmt.Sprintf("ip address del %s dev %s; ip address add %s dev lo", p, l.Name, netip.PrefixFrom(vip, vip.BitLen())))
				return
			}
		}
	}
	e.fail(subject, "is no address of this machine: what is taken out for it is dropped",
		fmt.Sprintf("ip address add %s dev lo", netip.PrefixFrom(vip, vip.BitLen())))
}

// checkARP: on the network of the gateway a backend that answers for the VIP
// takes the clients away.
func (e *examination) checkARP() {
	const subject = "arp"
	for _, want := range []struct{ name, value string }{{"arp_ignore", "1"}, {"arp_announce", "2"}} {
		value, err := e.machine.Sysctl("net", "ipv4", "conf", "all", want.name)
		switch {
		case err != nil:
			e.warn(subject, err.Error(), "run doctor where /proc/sys is mounted")
		case value < want.value:
			e.fail(subject, fmt.Sprintf("net.ipv4.conf.all.%s is %s: this machine answers ARP for the VIPs on its lo", want.name, value),
				fmt.Sprintf("sysctl -w net.ipv4.conf.all.%s=%s, and keep it in /etc/sysctl.d", want.name, want.value))
		default:
			e.pass(subject, "%s is %s", want.name, value)
		}
	}
}
