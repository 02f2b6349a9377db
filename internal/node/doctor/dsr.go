package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"sluice/internal/config"
	"sluice/internal/control"
)

// whoHasTimeout is how long answers to an ARP request are waited for.
const whoHasTimeout = 500 * time.Millisecond

// checkDSR looks at what mode dsr needs of each backend: to be on a network of
// ours, to hold the VIP, and to be silent when somebody asks who has it.
func checkDSR(ctx context.Context, e *examination) {
	for _, s := range e.services(config.ModeDSR) {
		asked := make(map[string][]net.HardwareAddr)
		for _, b := range s.Backends {
			subject := fmt.Sprintf("dsr %s at %s", s.Name, b.Name)
			w, found, err := e.machine.Way(b.Addr.Addr())
			if err != nil || !found {
				continue // said by checkBackends
			}
			if w.Gateway.IsValid() {
				e.fail(subject, fmt.Sprintf("is behind the router %s: a frame with the VIP as destination comes back from there", w.Gateway),
					"put the backend on a network of this machine, or use mode nat")
				continue
			}
			e.checkHolds(subject, s, b)
			if s.Listen.Addr().Is4() { // IPv6 does not answer for addresses of lo
				e.checkSilent(ctx, subject, s.Listen.Addr(), w, asked)
			}
		}
	}
}

// checkHolds tells whether the backend has the VIP, and else how it gets it.
func (e *examination) checkHolds(subject string, s config.Service, b config.Backend) {
	hint := fmt.Sprintf("on the backend: ip address add %s dev lo", netip.PrefixFrom(s.Listen.Addr(), s.Listen.Addr().BitLen()))
	if s.Mode.Tunnels() {
		hint += ", and a tunnel device for " + string(s.Mode) + " or dataplane.decap of its own sluice; \"sluice doctor\" there tells more"
	}
	e.checkAnswers(subject, b, hint)
}

// checkAnswers tells from the node's health check, which dials through the VIP,
// whether the backend answers on it.
func (e *examination) checkAnswers(subject string, b config.Backend, hint string) {
	for _, known := range e.node.backends {
		if known.Addr != b.Addr {
			continue
		}
		switch known.Health {
		case "passing":
			e.pass(subject, "answers on the VIP")
		case "failing":
			e.fail(subject, "does not answer on the VIP: "+known.Reason, hint)
		}
	}
}

// checkSilent asks the network for the VIP. A backend that answers takes the
// clients away from this machine.
func (e *examination) checkSilent(ctx context.Context, subject string, vip netip.Addr, w way, asked map[string][]net.HardwareAddr) {
	answers, done := asked[w.Link]
	if !done {
		bounded, cancel := context.WithTimeout(ctx, whoHasTimeout)
		defer cancel()
		var err error
		answers, err = e.machine.WhoHas(bounded, w.Link, vip)
		if errors.Is(err, syscall.EPERM) {
			e.warn(subject, "ARP cannot be asked without CAP_NET_RAW", "run doctor as root")
			return
		}
		if err != nil {
			e.warn(subject, err.Error(), "run doctor as root")
			return
		}
		asked[w.Link] = answers
	}
	for _, mac := range answers {
		if bytes.Equal(mac, w.MAC) {
			e.fail(subject, fmt.Sprintf("answers ARP for the VIP %s: clients on that network will bypass this machine", vip),
				"on the backend: sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2, with the VIP on lo")
			return
		}
	}
	e.pass(subject, "does not answer ARP for the VIP")
}

// checkReturnPath looks whether replies come back through this machine where
// the backend sees the client's own address.
func checkReturnPath(_ context.Context, e *examination) {
	for _, s := range e.services(config.ModeNAT) {
		if s.ClientAddress != config.ClientKeep {
			continue
		}
		subject := "return path of " + s.Name
		counted := false
		for _, known := range e.node.services {
			if known.Listen == s.Listen && !known.Removed {
				counted = true
				e.checkCounted(subject, known)
			}
		}
		if !counted {
			e.warn(subject, "not known without a running node, which counts replies that do not come back",
				"see that the backends' default route leads to this machine")
		}
		for _, b := range s.Backends {
			w, found, err := e.machine.Way(b.Addr.Addr())
			if err == nil && found && w.Gateway.IsValid() {
				e.warn(subject, fmt.Sprintf("backend %s is behind the router %s", b.Name, w.Gateway),
					"that router, too, must send what goes to clients here, and not by its own default route")
			}
		}
	}
}

// checkCounted reads the counter that XDP keeps for this very question: SYNs
// that were repeated without a SYN-ACK having come by.
func (e *examination) checkCounted(subject string, s control.Service) {
	switch {
	case s.NoReturnPath > 0:
		e.fail(subject, fmt.Sprintf("%d connection attempts were answered past this machine, or not at all", s.NoReturnPath),
			"set the default route of the backends to this machine; \"sluice show backends\" shows which have packets in but none out")
	case s.FlowsOpened == 0:
		e.warn(subject, "no connection has been made yet that would prove it", "connect once and run doctor again")
	default:
		e.pass(subject, "replies come back through this machine")
	}
}
