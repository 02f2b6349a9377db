package address

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Vacate is the part of Release that others must wait for: from then on the kernel
// neither answers for the VIPs nor sends anything by a virtual MAC. It needs less
// than a millisecond for IPv4; each macvlan that goes down takes some 10.
func (s *Set) Vacate() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leave(false)
}

// Release takes the VIPs away, and all macvlans go down. It may be called at any
// time, also half-way through a Take that failed, and does all it can whatever
// fails.
func (s *Set) Release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.release()
}

func (s *Set) release() error { return s.leave(true) }

// leave takes the addresses away. A macvlan with IPv6 ones goes down before: a
// little after such an address the kernel sends a listener report (RFC 3810 §6.1),
// by which switches would learn the virtual MAC here, when it is elsewhere. The
// others go down only if all are to.
func (s *Set) leave(all bool) error {
	s.active = false
	sc, err := lookAt(s.places)
	if err != nil {
		return err
	}
	var errs []error
	for i := range s.places {
		if hasSix(s.places[i].vips) {
			errs = append(errs, lowerAt(sc, &s.places[i]))
		}
	}
	for i := range s.places {
		errs = append(errs, vacate(sc, &s.places[i], nil))
	}
	for i := range s.places {
		if all && !hasSix(s.places[i].vips) {
			errs = append(errs, lowerAt(sc, &s.places[i]))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("release the VIPs of virtual cluster %q: %w", s.cluster, err)
	}
	return nil
}

// lowerAt takes the macvlan of a place down.
func lowerAt(sc *scene, p *place) error {
	l, found := sc.named(p.name)
	if _, ours := l.owner(); !found || !ours || !p.virtual() || !l.up {
		return nil
	}
	return lower(l)
}

// vacate takes all addresses from a macvlan, and the VIPs alone from a physical
// interface, but not those in keep.
func vacate(sc *scene, p *place, keep []netip.Addr) error {
	l, found := sc.named(p.name)
	if _, ours := l.owner(); !found || p.virtual() && !ours {
		return nil
	}
	var errs []error
	for _, a := range sc.on(l.index) {
		addr := a.prefix.Addr()
		if slices.Contains(keep, addr) || !p.virtual() && !(slices.Contains(p.vips, addr) && sc.leased(a)) {
			continue
		}
		if err := remove(a.index, a.prefix); err != nil {
			errs = append(errs, fmt.Errorf("take %s from %q: %v", a.prefix, l.name, err))
		}
	}
	return errors.Join(errs...)
}

// Close ends the use of a set. With remove the VIPs are released, the macvlans
// removed, and the physical interfaces' settings as they were before; without it
// everything stays for a successor's Adopt. A second Close does nothing.
//
// A setting's former value is known to the process that changed it. One whose
// predecessor was killed finds it changed, and leaves it so.
func (s *Set) Close(remove bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	var err error
	if remove {
		err = s.release()
		if sc, look := lookAt(s.places); look == nil {
			err = errors.Join(err, s.demolish(sc))
		}
		err = errors.Join(err, s.host.giveBack(s, func(int) bool { return false }))
	}
	s.active, s.closed = false, true
	s.host.leave(s)
	s.host.forget(s)
	return err
}

// demolish removes the macvlans.
func (s *Set) demolish(sc *scene) error {
	var errs []error
	for _, p := range s.places {
		if l, found := sc.named(p.name); found && p.virtual() {
			if cluster, ours := l.owner(); ours && cluster == s.cluster {
				errs = append(errs, deleteLink(l))
			}
		}
	}
	return errors.Join(errs...)
}
