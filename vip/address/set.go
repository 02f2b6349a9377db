package address

import (
	"errors"
	"fmt"
	"sync"
)

// Set is the VIPs of one virtual cluster. It begins as backup. Its methods may
// be called from several goroutines at once.
type Set struct {
	host    *Host
	cluster string

	mu     sync.Mutex
	plan   Plan
	places []place
	// active says that the VIPs are meant to be here.
	active bool
	closed bool
	// replying says that the next announcement is a reply and no request.
	replying bool
}

var errClosed = errors.New("the set is closed")

// Prepare makes this machine a backup that can take over at once: for each
// interface and MAC a macvlan that is down, and settings of the interface that
// keep neighbours from learning a wrong MAC. VIPs and macvlans of the cluster
// that an earlier process left are swept away.
//
// It changes nothing and returns an error when an interface is missing, or has a
// VIP as an address of its own, or another's interface has a name of ours.
func (s *Set) Prepare() error { return s.settle(false) }

// Adopt is Prepare for a process whose predecessor had the VIPs a moment ago and
// has them still, see Held: what lies there stays without a gap and gets a new
// lease, what is missing is made up for. It returns what that was.
func (s *Set) Adopt() (repaired []string, err error) {
	if err := s.settle(true); err != nil {
		return nil, err
	}
	return s.Renew()
}

func (s *Set) settle(active bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arrange(s.plan, active)
}

// Change gives a set another plan, of the same cluster. What both plans have
// goes on without a gap, what only the new one has is made, and taken if this
// machine is active. As with Prepare, what is refused changes nothing.
func (s *Set) Change(p Plan) error {
	if err := p.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.Cluster != s.cluster {
		return fmt.Errorf("change virtual cluster %q: it cannot become %q", s.cluster, p.Cluster)
	}
	if err := s.arrange(p, s.active); err != nil || !s.active {
		return err
	}
	_, err := s.hold()
	return err
}

// arrange brings interfaces and settings to a plan.
func (s *Set) arrange(p Plan, active bool) error {
	if s.closed {
		return errClosed
	}
	sc, err := look()
	if err != nil {
		return err
	}
	next := places(p)
	if err := refuse(sc, p, next); err != nil {
		return fmt.Errorf("prepare virtual cluster %q: %v", s.cluster, err)
	}
	old := s.places
	s.plan, s.places, s.active = p, next, active
	errs := []error{s.dropOld(sc, old), s.sweep(sc)}
	for i := range next {
		_, err := s.lay(sc, &next[i])
		errs = append(errs, err)
	}
	errs = append(errs, s.host.giveBack(s, func(index int) bool { return uses(sc, next, index) }))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("prepare virtual cluster %q: %w", s.cluster, err)
	}
	return nil
}

// uses says whether one of the places is above an interface.
func uses(sc *scene, list []place, index int) bool {
	l, found := sc.indexed(index)
	for _, p := range list {
		if found && p.parent == l.name {
			return true
		}
	}
	return false
}

// lay sees to one place: the settings of its parent, and its macvlan. It says
// whether there is a new one.
func (s *Set) lay(sc *scene, p *place) (made bool, err error) {
	parent, found := sc.named(p.parent)
	if !found {
		return false, missing(p.parent)
	}
	if err := s.host.borrow(s, parent); err != nil || !p.virtual() {
		return false, err
	}
	l, good := sc.macvlan(p, parent)
	if !good {
		if l.index != 0 {
			if err := deleteLink(l); err != nil {
				return false, err
			}
		}
		if l, err = makeMacvlan(p, parent, s.cluster); err != nil {
			return false, err
		}
		sc.replace(l)
	}
	err = silence(l, hasSix(p.vips))
	if err != nil && !good {
		// One that might speak for itself must not stay for a Take.
		err = errors.Join(err, deleteLink(l))
	}
	return !good, err
}

func missing(name string) error {
	return fmt.Errorf("interface %q does not exist; \"ip link\" lists what does", name)
}
