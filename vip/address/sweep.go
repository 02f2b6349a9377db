package address

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// sweep takes away what an earlier process of the cluster left and the plan does
// not have: macvlans, and VIPs wherever they lie without this machine being
// active. A VIP in its place stays while it is.
func (s *Set) sweep(sc *scene) error {
	var errs []error
	for _, l := range slices.Clone(sc.links) {
		cluster, ours := l.owner()
		at := slices.IndexFunc(s.places, func(p place) bool { return p.name == l.name })
		switch {
		case ours && at >= 0:
			p := &s.places[at]
			if s.active {
				errs = append(errs, vacate(sc, p, p.vips))
			} else {
				errs = append(errs, vacate(sc, p, nil), lowerAt(sc, p))
			}
		case ours && cluster == s.cluster:
			errs = append(errs, deleteLink(l))
		case !ours && !l.loopback:
			errs = append(errs, s.sweepPhysical(sc, l, at >= 0))
		}
	}
	return errors.Join(errs...)
}

// sweepPhysical takes VIPs of the plan that were put there by us from a physical
// interface, or, while active, from one where they should not be.
func (s *Set) sweepPhysical(sc *scene, l link, place bool) error {
	var errs []error
	for _, a := range sc.on(l.index) {
		addr := a.prefix.Addr()
		wanted := slices.ContainsFunc(s.plan.VIPs, func(v VIP) bool { return v.Addr.Addr() == addr })
		right := place && s.active && slices.ContainsFunc(s.plan.VIPs, func(v VIP) bool {
			return v.Addr.Addr() == addr && v.Interface == l.name && v.MAC == nil
		})
		if !wanted || right || !sc.leased(a) {
			continue
		}
		if err := remove(a.index, a.prefix); err != nil {
			errs = append(errs, fmt.Errorf("take %s from %q: %v", a.prefix, l.name, err))
		}
	}
	return errors.Join(errs...)
}

// dropOld takes away what only the plan before had on physical interfaces;
// macvlans are swept by their names.
func (s *Set) dropOld(sc *scene, old []place) error {
	var errs []error
	for i := range old {
		p := &old[i]
		if p.virtual() {
			continue
		}
		now := slices.IndexFunc(s.places, func(n place) bool { return n.name == p.name })
		var keep []netip.Addr
		if now >= 0 && s.active {
			keep = s.places[now].vips
		}
		errs = append(errs, vacate(sc, p, keep))
	}
	return errors.Join(errs...)
}

// Sweep removes what earlier processes left for virtual clusters that no set is
// of: macvlans known by name and alias, and addresses known by their mark, which
// kernels before 5.18 do not keep. It returns what that was, one line each.
func (h *Host) Sweep() (swept []string, err error) {
	h.mu.Lock()
	sets := slices.Clone(h.sets)
	h.mu.Unlock()
	var clusters, names []string
	var vips []netip.Addr
	for _, s := range sets {
		s.mu.Lock()
		clusters = append(clusters, s.cluster)
		for _, p := range s.places {
			names, vips = append(names, p.name), append(vips, p.vips...)
		}
		s.mu.Unlock()
	}
	sc, err := look()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, l := range sc.links {
		if cluster, ours := l.owner(); ours && !slices.Contains(clusters, cluster) && !slices.Contains(names, l.name) {
			swept, errs = append(swept, fmt.Sprintf("macvlan %q (%s)", l.name, l.alias)), append(errs, deleteLink(l))
		}
	}
	for _, a := range sc.addrs {
		l, _ := sc.indexed(a.index)
		if _, ours := l.owner(); ours || a.proto != mark || slices.Contains(vips, a.prefix.Addr()) {
			continue
		}
		swept, errs = append(swept, fmt.Sprintf("%s on %q", a.prefix, l.name)), append(errs, remove(a.index, a.prefix))
	}
	return swept, errors.Join(errs...)
}
