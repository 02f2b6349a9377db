package ping

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sluice/vip/socket"
)

// Monitor pings the hosts of items.
type Monitor struct {
	changed func(Status)
	now     func() time.Time
	// answered is called for each answer.
	answered func()
	// open opens a path's socket; tests do so in a namespace.
	open func(*path) error

	// mu guards all below, and is held while answers are taken from a socket
	// and put to account: so no echo is lost whose answer is there.
	mu      sync.Mutex
	groups  []*group
	paths   []*path
	readers sync.WaitGroup
	// poke wakes Run when a reader has changed something.
	poke chan struct{}
	// closing are sockets of interfaces that are no more.
	closing []io.Closer
}

// New returns a monitor of items that is yet to [Monitor.Run]. changed is handed
// an item's status after it or one of its hosts has changed or become known;
// changes that follow each other fast may be told as one. It runs on Run's
// goroutine and must not take long: pings wait for it. It may be nil.
func New(items []Item, changed func(Status)) (*Monitor, error) {
	m := &Monitor{changed: changed, now: time.Now, open: (*path).open, poke: make(chan struct{}, 1)}
	names := make(map[string]bool)
	count := 0
	for _, i := range items {
		item, err := i.check()
		if err != nil {
			return nil, err
		}
		if names[item.Name] {
			return nil, fmt.Errorf("ping item %q is there twice", item.Name)
		}
		names[item.Name] = true
		if count += len(item.Hosts); count > MaxHosts {
			return nil, fmt.Errorf("ping item %q: it brings the hosts to %d: want at most %d in all items", item.Name, count, MaxHosts)
		}
		m.add(newGroup(item))
	}
	return m, nil
}

// add sorts a group's hosts by the way to them.
func (m *Monitor) add(g *group) {
	m.groups = append(m.groups, g)
	for _, h := range g.hosts {
		p := m.pathTo(g.item.Interface, h)
		p.hosts = append(p.hosts, member{h, g})
	}
}

func (m *Monitor) pathTo(name string, h *host) *path {
	domain := unix.AF_INET6
	if h.addr.Is4() {
		domain = unix.AF_INET
	}
	for _, p := range m.paths {
		if p.name == name && p.domain == domain {
			return p
		}
	}
	p := &path{name: name, domain: domain, heard: func() {
		if m.answered != nil {
			m.answered()
		}
	}}
	m.paths = append(m.paths, p)
	return p
}

// Adopt takes over what another monitor has learnt of the same hosts in items of
// the same name and interface, so that new settings forget nothing. It comes
// before Run.
func (m *Monitor) Adopt(old *Monitor) {
	old.mu.Lock()
	defer old.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range m.groups {
		for _, o := range old.groups {
			if o.item.Name == g.item.Name && o.item.Interface == g.item.Interface {
				g.adopt(o, m.now())
			}
		}
	}
}

// Snapshot returns the status of all items, in their order.
func (m *Monitor) Snapshot() []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Status, 0, len(m.groups))
	for _, g := range m.groups {
		all = append(all, g.status())
	}
	return all
}

// Run pings until ctx ends, and returns what closing met. It may run once. What
// cannot be sent is a miss with a fault in the status, so it needs CAP_NET_RAW
// and says so there.
func (m *Monitor) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wake, news := m.step()
		// What closing a socket of a lost interface says is of no use either.
		_ = m.sweep()
		for _, s := range news {
			m.changed(s)
		}
		timer.Reset(wake.Sub(m.now()))
		select {
		case <-ctx.Done():
			return m.end()
		case <-timer.C:
		case <-m.poke:
		}
	}
}

// end closes all sockets and waits for their readers.
func (m *Monitor) end() error {
	m.mu.Lock()
	for _, p := range m.paths {
		m.closing = append(m.closing, p.detach()...)
	}
	m.mu.Unlock()
	err := m.sweep()
	m.readers.Wait()
	return err
}

// sweep closes what is of no use any more.
func (m *Monitor) sweep() error {
	m.mu.Lock()
	closing := m.closing
	m.closing = nil
	m.mu.Unlock()
	var errs []error
	for _, c := range closing {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// read takes in what comes by a path's socket until that is closed.
func (m *Monitor) read(p *path, s *socket.Socket) {
	defer m.readers.Done()
	take := func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		if p.socket != s {
			return true
		}
		changed, more := p.drain(s, m.now())
		if changed {
			select {
			case m.poke <- struct{}{}:
			default:
			}
		}
		return more
	}
	for {
		if err := s.Wait(take); errors.Is(err, os.ErrClosed) {
			return
		}
	}
}
