package steering

import (
	"fmt"
	"net/netip"
)

// Shares of a backend's source ports that raise an alarm: there is time to add
// addresses at the first, and next to none at the second.
const (
	portsShort = 80
	portsGone  = 95
)

// portUse is how many source ports a backend's flows hold, of how many.
type portUse struct {
	held, pool int
}

func (u portUse) percent() int { return u.held * 100 / max(1, u.pool) }

// portUses counts by backend: a source port is held by the existence of a flow's
// entry, whichever service it is of.
func (m *model) portUses(x *index, ports int) map[netip.AddrPort]portUse {
	uses := map[netip.AddrPort]portUse{}
	pools := map[netip.AddrPort]map[netip.Addr]bool{}
	for id, mem := range m.members {
		pool := m.services[mem.record.Service].record.Pool
		if len(pool) == 0 {
			continue
		}
		addr := mem.record.Addr
		if pools[addr] == nil {
			pools[addr] = map[netip.Addr]bool{}
		}
		for _, a := range pool {
			pools[addr][a] = true
		}
		uses[addr] = portUse{held: uses[addr].held + x.of(id).all(), pool: len(pools[addr]) * ports}
	}
	return uses
}

// watchPorts raises an alarm before a backend's source ports are used up, and
// clears it when there is room again.
func (t *Table) watchPorts(x *index) {
	if t.opt.SourcePorts == nil {
		return
	}
	ports := t.opt.SourcePorts()
	m := t.model.Load()
	short := map[string]bool{}
	for addr, use := range m.portUses(x, ports) {
		if use.percent() < portsShort {
			continue
		}
		key := "ports " + addr.String()
		short[key] = true
		severity := SeverityWarning
		if use.percent() >= portsGone {
			severity = SeverityCritical
		}
		t.alarms.raise(key, Alarm{
			Severity: severity, Subject: "source ports",
			Text: fmt.Sprintf("%d %% of the source ports towards backend %s (%v) are in use: %d of %d",
				use.percent(), m.backends[addr].name, addr, use.held, use.pool),
			Hint: "give the services of the backend more addresses by source_pool, or add backends",
		})
	}
	for key := range t.short {
		if !short[key] {
			t.alarms.clear(key)
		}
	}
	t.short = short
}
