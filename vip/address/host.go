package address

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"sluice/vip/announce"
)

// Host is what the virtual clusters of one machine, or network namespace, share:
// the settings of physical interfaces that they changed, and the socket that
// announces. Its methods may be called from several goroutines at once.
type Host struct {
	sender *announce.Sender

	mu   sync.Mutex
	sets []*Set
	lent map[lent]*loan
}

// lent is a setting of a physical interface, which may be renamed.
type lent struct {
	index int
	name  string
}

// loan is its value before any of ours, and the sets that need another.
type loan struct {
	setting setting
	former  int
	users   []*Set
}

// Open returns the host of the calling thread's network namespace, in which
// everything of it and its sets must then be called. It needs CAP_NET_RAW.
func Open() (*Host, error) {
	sender, err := announce.Open()
	if err != nil {
		return nil, err
	}
	return &Host{sender: sender, lent: map[lent]*loan{}}, nil
}

// Close closes the socket; the sets are closed before, by who made them.
func (h *Host) Close() error { return h.sender.Close() }

// New returns a set with a plan, which touches nothing until Prepare or Adopt.
// The error tells every fault of the plan.
func (h *Host) New(p Plan) (*Set, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	s := &Set{host: h, cluster: p.Cluster, plan: p, places: places(p)}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, other := range h.sets {
		if other.cluster == p.Cluster {
			return nil, fmt.Errorf("virtual cluster %q is there already", p.Cluster)
		}
	}
	h.sets = append(h.sets, s)
	return s, nil
}

// borrow makes a physical interface quiet for a set, and remembers how it was.
func (h *Host) borrow(s *Set, l link) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, one := range quiet {
		former, err := one.set(l)
		if err != nil {
			return err
		}
		key := lent{l.index, one.name}
		if h.lent[key] == nil {
			h.lent[key] = &loan{setting: one, former: former}
		}
		if of := h.lent[key]; !slices.Contains(of.users, s) {
			of.users = append(of.users, s)
		}
	}
	return nil
}

// giveBack restores what no other set needs on interfaces that the set needs no
// more; keep are those that it still needs.
func (h *Host) giveBack(s *Set, keep func(index int) bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for key, of := range h.lent {
		at := slices.Index(of.users, s)
		if at < 0 || keep(key.index) {
			continue
		}
		if of.users = slices.Delete(of.users, at, at+1); len(of.users) > 0 {
			continue
		}
		delete(h.lent, key)
		if of.former == of.setting.value {
			continue
		}
		if err := setInet(key.index, of.setting.inet, of.former); err != nil && !gone(err) {
			errs = append(errs, fmt.Errorf("set %s of interface %d back to %d: %v", key.name, key.index, of.former, err))
		}
	}
	return errors.Join(errs...)
}

// forget leaves a set out.
func (h *Host) forget(s *Set) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sets = slices.DeleteFunc(h.sets, func(other *Set) bool { return other == s })
}

// leave takes a set out of the users of all settings, which stay for its successor.
func (h *Host) leave(s *Set) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, of := range h.lent {
		of.users = slices.DeleteFunc(of.users, func(u *Set) bool { return u == s })
	}
}
