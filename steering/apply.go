package steering

import (
	"context"
	"fmt"

	"sluice/internal/config"
)

// Change is one thing that new settings did to the dataplane.
type Change struct {
	// Service is a name; Backend is empty where the service itself changed.
	Service, Backend string
	// Text says what happened, such as "added" or "weight 1 → 2".
	Text string
}

// String returns the change as one line.
func (c Change) String() string {
	if c.Backend == "" {
		return fmt.Sprintf("service %q: %s", c.Service, c.Text)
	}
	return fmt.Sprintf("service %q: backend %q: %s", c.Service, c.Backend, c.Text)
}

// Apply makes s the settings in force and returns what that changed in the
// dataplane; the same settings again change nothing. On error everything is as
// before. What s no longer names gets no new flow from here on; its living
// flows go on until they end.
//
// Operators' orders are left alone, but for a weight that s gives anew.
func (t *Table) Apply(ctx context.Context, s *config.Settings) ([]Change, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	have, want, err := t.change(func(next *model) error { return t.plan(next, s) })
	if err != nil {
		return nil, fmt.Errorf("apply settings: %w", err)
	}
	if !have.applied {
		// Only now is it known what of an earlier process is still of use.
		if err := t.opt.Resolver.Settle(); err != nil {
			t.log.Warn("next hops of an earlier run not freed", "error", err)
		}
	}
	t.poke()
	return differences(have, want), nil
}

// differences tells two models apart for people.
func differences(have, want *model) []Change {
	var list []Change
	members := want.grouped()
	for _, s := range want.listed() {
		list = append(list, serviceDifferences(have, want, s)...)
		if s.phase == phaseReplaced {
			continue
		}
		for _, id := range members[s.id] {
			mem := want.members[id]
			was, old := have.members[id]
			text := memberDifference(have.weight(was), want.weight(mem), old && was.named, mem.named)
			if text != "" && (have.applied || !old) {
				list = append(list, Change{Service: s.name, Backend: want.backends[mem.record.Addr].name, Text: text})
			}
		}
	}
	return list
}

func serviceDifferences(have, want *model, s service) []Change {
	was := have.services[s.id]
	change := func(format string, args ...any) []Change {
		return []Change{{Service: s.name, Text: fmt.Sprintf(format, args...)}}
	}
	switch {
	case s.phase == phaseNamed && was.id != 0 && !have.applied:
		return change("taken over on %v", s.record.Listen)
	case s.phase == phaseNamed && was.phase != phaseNamed:
		return change("added on %v", s.record.Listen)
	case s.phase == phaseRemoved && was.phase == phaseNamed:
		return change("removed, its flows live on")
	case s.phase == phaseReplaced && was.phase == phaseNamed:
		return change("mode %s given up, its flows end", was.settings.Mode)
	case s.phase != phaseNamed:
		return nil
	}
	var list []Change
	if was.name != s.name {
		list = append(list, change("named so, was %q", was.name)...)
	}
	if !sameRecord(was.record, s.record) {
		list = append(list, change("client address or source pool changed, for new flows")...)
	}
	return list
}

func memberDifference(was, is int, named, stays bool) string {
	switch {
	case !named && stays:
		return fmt.Sprintf("added, weight %d", is)
	case named && !stays:
		return "removed, its flows live on"
	case named && was != is:
		return fmt.Sprintf("weight %d → %d", was, is)
	default:
		return ""
	}
}
