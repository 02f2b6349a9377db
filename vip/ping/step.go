package ping

import "time"

// step does all that is due, and returns when the next is and what has changed.
func (m *Monitor) step() (wake time.Time, news []Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	wake = now.Add(MaxInterval)
	for _, p := range m.paths {
		m.stepPath(p, now)
		for _, h := range p.hosts {
			if w := h.wake(); w.Before(wake) {
				wake = w
			}
		}
	}
	for _, g := range m.groups {
		if g.changed && m.changed != nil {
			news = append(news, g.status())
		}
		g.changed = false
	}
	return wake, news
}

// stepPath counts lost echoes and sends new ones.
func (m *Monitor) stepPath(p *path, now time.Time) {
	if p.anyHost(func(h *host) bool { return h.lost(now) }) && p.socket != nil {
		// Who was kept from running, as by a paused machine, finds the answers
		// that came meanwhile in the socket.
		p.drain(p.socket, now)
	}
	var fault error
	if p.anyHost(func(h *host) bool { return h.lost(now) || h.due(now) }) {
		fault = m.ready(p)
	}
	for _, h := range p.hosts {
		if h.lost(now) && h.miss(now) {
			h.group.judge(now)
		}
		if !h.due(now) {
			continue
		}
		err := p.ask(h.host, now)
		if fault != nil {
			err = fault
		}
		if err != nil && h.fail(now, err.Error()) {
			h.group.judge(now)
		}
	}
}

// ready opens the path's socket where it has none of today's interface.
func (m *Monitor) ready(p *path) error {
	if p.stale() {
		m.closing = append(m.closing, p.detach()...)
	}
	if p.socket != nil {
		return nil
	}
	if err := m.open(p); err != nil {
		return err
	}
	m.readers.Add(1)
	go m.read(p, p.socket)
	return nil
}

func (p *path) anyHost(is func(*host) bool) bool {
	for _, h := range p.hosts {
		if is(h.host) {
			return true
		}
	}
	return false
}
