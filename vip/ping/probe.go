package ping

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"sluice/vip/socket"
)

// probesKept is how many probes of a host may wait for an answer; older ones are
// forgotten.
const probesKept = 8

// OnAnswer has f called for each answer of any host, to a probe or to an ordinary
// echo. It must not block nor call the monitor. It comes before Run.
func (m *Monitor) OnAnswer(f func()) { m.answered = f }

// Probe asks every host at once, beside the ordinary echoes and without any effect
// on what is known of hosts: who needs to know now whether anybody is within reach
// is told by OnAnswer. What cannot be sent is nobody within reach.
func (m *Monitor) Probe() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.paths {
		if p.socket == nil || p.watch.Err() != nil {
			continue
		}
		for _, h := range p.hosts {
			p.seq++
			e := newEcho(p.seq)
			h.probe(e)
			// A probe that is lost here is as one that is lost on its way.
			_ = p.socket.Send(request(h.addr, p.id, e), p.to(h.addr))
		}
	}
}

func (p *path) to(addr netip.Addr) unix.Sockaddr {
	return socket.Sockaddr(p.socket.Link(), netip.AddrPortFrom(addr, 0))
}

// probe notes a probe that is being sent.
func (h *host) probe(e echo) {
	if len(h.probes) == probesKept {
		h.probes = slices.Delete(h.probes, 0, 1)
	}
	h.probes = append(h.probes, e)
}

// answers says whether an answer is one to a probe, which it then is no more.
func (h *host) answers(e echo) bool {
	i := slices.Index(h.probes, e)
	if i < 0 {
		return false
	}
	h.probes = slices.Delete(h.probes, i, i+1)
	return true
}
