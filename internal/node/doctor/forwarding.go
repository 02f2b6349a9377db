package doctor

import (
	"context"
	"fmt"
	"net/netip"

	"sluice/internal/config"
)

// checkForwarding looks at the sysctls that the kernel's routing lookups and
// the packets passed up to it depend on.
func checkForwarding(_ context.Context, e *examination) {
	nat := e.services(config.ModeNAT)
	for _, family := range []struct {
		name   string
		sysctl string
		is     func(netip.Addr) bool
	}{{"IPv4", "ipv4", netip.Addr.Is4}, {"IPv6", "ipv6", netip.Addr.Is6}} {
		uses := false
		for _, s := range nat {
			uses = uses || family.is(s.Listen.Addr())
		}
		if !uses {
			continue
		}
		for _, link := range e.selection.Names {
			e.checkForwards(family.name, family.sysctl, link)
		}
	}
	if len(e.services(config.ModeDSR, config.ModeIPIP, config.ModeGUE)) > 0 {
		for _, link := range e.selection.Names {
			e.checkReversePath(link)
		}
	}
}

// checkForwards: the way back to a client is looked up as for a packet that
// the kernel would forward, and refused where it would not.
func (e *examination) checkForwards(family, sysctl, link string) {
	subject := "forwarding " + link
	value, err := e.machine.Sysctl("net", sysctl, "conf", link, "forwarding")
	switch {
	case err != nil:
		e.warn(subject, err.Error(), "see that "+family+" is on for the interface")
	case value == "0":
		e.fail(subject, family+" forwarding is off: replies to clients find no way",
			fmt.Sprintf("sysctl -w net/%s/conf/%s/forwarding=1, and keep it in /etc/sysctl.d", sysctl, link))
	default:
		e.pass(subject, "%s forwarding is on", family)
	}
}

// checkReversePath: the stricter of the two values counts. XDP does not ask
// it, but what XDP passes up does, answers to health checks among it.
func (e *examination) checkReversePath(link string) {
	subject := "rp_filter " + link
	own, err := e.machine.Sysctl("net", "ipv4", "conf", link, "rp_filter")
	if err != nil {
		e.warn(subject, err.Error(), "run doctor where /proc/sys is mounted")
		return
	}
	all, err := e.machine.Sysctl("net", "ipv4", "conf", "all", "rp_filter")
	if err != nil {
		e.warn(subject, err.Error(), "run doctor where /proc/sys is mounted")
		return
	}
	if value := max(own, all); value == "1" {
		e.warn(subject, "strict: packets whose sender is reached by another interface are dropped where XDP passes them up",
			fmt.Sprintf("sysctl -w net/ipv4/conf/%s/rp_filter=2 if routes to and from clients differ", link))
		return
	}
	e.pass(subject, "not strict")
}

// fewPorts is below what one busy backend can use.
const fewPorts = 16384

// checkPorts: the programs take source ports from outside the range that this
// machine's own connections use, or each would steal the other's answers on an
// address both have. So a wide range leaves few.
func checkPorts(_ context.Context, e *examination) {
	const subject = "source ports"
	for _, s := range e.services(config.ModeNAT) {
		if !s.ClientAddress.Hides() {
			continue
		}
		n, err := e.machine.SourcePorts()
		switch {
		case err != nil:
			e.fail(subject, err.Error(), "sysctl -w net.ipv4.ip_local_port_range='32768 60999'")
		case n < fewPorts:
			e.warn(subject, fmt.Sprintf("net.ipv4.ip_local_port_range leaves %d: so many flows per backend and address of source_pool", n),
				"narrow the range, as with sysctl -w net.ipv4.ip_local_port_range='32768 60999'")
		default:
			e.pass(subject, "%d outside net.ipv4.ip_local_port_range: so many flows per backend and address of source_pool", n)
		}
		return // the range is the same for all services
	}
}
