package address

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// refuse names what of a plan cannot be on this machine.
func refuse(sc *scene, plan Plan, list []place) error {
	var errs []error
	for _, p := range list {
		if _, found := sc.named(p.parent); !found {
			errs = append(errs, missing(p.parent))
		}
		if !p.virtual() {
			continue
		}
		l, taken := sc.named(p.name)
		if !taken {
			continue
		}
		if cluster, ours := l.owner(); !ours || cluster != "" && cluster != plan.Cluster {
			errs = append(errs, fmt.Errorf("interface %q (%s, alias %q) has the name that the macvlan of virtual cluster %q on %q needs: rename it, or \"ip link delete %s\"",
				l.name, l.kind, l.alias, plan.Cluster, p.parent, l.name))
		}
	}
	for _, v := range plan.VIPs {
		if l, taken := owned(sc, v); taken {
			errs = append(errs, fmt.Errorf("%v is an address of %q itself: a VIP is an address of its own, give the one or the other another", v, l.name))
		}
	}
	return errors.Join(errs...)
}

// owned returns the interface that has a VIP as its own address. Addresses of lo
// answer nobody, and servers behind one-way modes have VIPs there.
func owned(sc *scene, v VIP) (link, bool) {
	for _, a := range sc.addrs {
		l, found := sc.indexed(a.index)
		if !found || l.loopback || a.prefix.Addr() != v.Addr.Addr() || sc.leased(a) {
			continue
		}
		if _, ours := l.owner(); ours || v.Addr.Addr().Is6() && v.Addr.Addr().IsLinkLocalUnicast() && l.name != v.Interface {
			continue
		}
		return l, true
	}
	return link{}, false
}

func hasSix(list []netip.Addr) bool { return slices.ContainsFunc(list, netip.Addr.Is6) }

// replace has a scene know an interface that was just made.
func (sc *scene) replace(l link) {
	sc.links = slices.DeleteFunc(sc.links, func(old link) bool { return old.name == l.name })
	sc.links = append(sc.links, l)
}
