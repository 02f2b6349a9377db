package address

import (
	"errors"
	"fmt"
)

// Take makes the VIPs this machine's. Each macvlan gets its addresses while it
// is down and then comes up, so that from its first moment all of them are
// answered for. When it fails, what could be taken stays taken until Release.
func (s *Set) Take() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active, s.replying = true, false
	_, err := s.hold()
	return err
}

// Renew gives the VIPs of an active machine a new lease, puts back what somebody
// took away, and returns what that was, one line each; who was told of a new
// macvlan or address should be told again by Announce. On a backup it does
// nothing. An error leaves out nothing else that can be renewed.
func (s *Set) Renew() (repaired []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.active {
		return nil, nil
	}
	return s.hold()
}

// Held says whether all VIPs lie where they should and can be reached there.
func (s *Set) Held() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sc, err := lookAt(s.places)
	if err != nil {
		return false, err
	}
	for i := range s.places {
		p := &s.places[i]
		l, found := sc.named(p.name)
		if !found || !l.up {
			return false, nil
		}
		for _, vip := range p.vips {
			if !sc.has(l.index, vip) {
				return false, nil
			}
		}
	}
	return true, nil
}

// hold brings every place to what an active machine has there.
func (s *Set) hold() (repaired []string, err error) {
	if s.closed {
		return nil, errClosed
	}
	sc, err := lookAt(s.places)
	if err != nil {
		return nil, err
	}
	var errs []error
	for i := range s.places {
		done, err := s.holdAt(sc, &s.places[i])
		repaired, errs = append(repaired, done...), append(errs, err)
	}
	if len(repaired) > 0 {
		errs = append(errs, s.await(sc))
	}
	if err := errors.Join(errs...); err != nil {
		return repaired, fmt.Errorf("hold the VIPs of virtual cluster %q: %w", s.cluster, err)
	}
	return repaired, nil
}

func (s *Set) holdAt(sc *scene, p *place) (repaired []string, err error) {
	parent, found := sc.named(p.parent)
	if !found {
		// What lies on the macvlan of a renamed interface is still reached.
		return nil, errors.Join(missing(p.parent), s.renew(sc, p))
	}
	if _, good := sc.macvlan(p, parent); p.virtual() && !good {
		if _, err := s.lay(sc, p); err != nil {
			return nil, err
		}
		repaired = append(repaired, fmt.Sprintf("made macvlan %q on %q", p.name, p.parent))
	}
	l, _ := sc.named(p.name)
	for _, vip := range p.vips {
		if !sc.has(l.index, vip) {
			repaired = append(repaired, fmt.Sprintf("put %s on %q", vip, p.name))
		}
	}
	if err := s.renew(sc, p); err != nil {
		return repaired, err
	}
	if p.virtual() && !l.up {
		repaired = append(repaired, fmt.Sprintf("brought up %q", p.name))
		err = raise(l)
	}
	return repaired, err
}

// renew leases the addresses of a place whose interface exists.
func (s *Set) renew(sc *scene, p *place) error {
	l, found := sc.named(p.name)
	if !found {
		return nil
	}
	var errs []error
	for _, vip := range p.vips {
		if err := lease(l.index, vip, s.plan.seconds()); err != nil {
			errs = append(errs, fmt.Errorf("lease %s on %q: %v", vip, p.name, err))
		}
	}
	return errors.Join(errs...)
}
