package steering

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"time"
)

// DrainOptions say how a drain ends other than by itself.
type DrainOptions struct {
	// Deadline resets what is left after it; 0 waits for ever.
	Deadline time.Duration
	// IdleDone counts a flow without a packet for that long as ended, for
	// modes in which the backend's end of a flow is not seen; 0 means never.
	// Such flows are not touched.
	IdleDone time.Duration
	// Yes allows a service to be left with no backend that is up.
	Yes bool
}

// BackendChange is what an order did to one backend.
type BackendChange struct {
	Name     string
	Addr     netip.AddrPort
	Services []string
	// State and weight before and after. The weight is the one in the first
	// service that names the backend.
	StateWas, State   State
	WeightWas, Weight int
	// FlowsNow are those that live; an upper bound where a service is in mode
	// dsr.
	FlowsNow uint64
}

// Drain lets nothing new reach the backends; what lives goes on until it ends,
// and the backend is disabled then. A drain that runs gets the new options.
//
// The order holds over restarts. Errors match ErrUnknown, ErrLastBackend or
// ErrNotReady, and leave all backends as they were.
func (t *Table) Drain(ctx context.Context, s Selection, o DrainOptions) ([]BackendChange, error) {
	return t.order(ctx, "drain", s, o.Yes, func(_ *model, b *backend) {
		now := t.opt.now()
		if b.order.State != StateDraining {
			b.order.Since = now
		}
		b.order.State, b.order.IdleDone, b.order.Deadline = StateDraining, o.IdleDone, time.Time{}
		if o.Deadline > 0 {
			b.order.Deadline = now.Add(o.Deadline)
		}
	})
}

// Disable lets nothing new reach the backends, stops their health checks and
// leaves the living untouched. It holds and fails as Drain does.
func (t *Table) Disable(ctx context.Context, s Selection, yes bool) ([]BackendChange, error) {
	return t.order(ctx, "disable", s, yes, func(_ *model, b *backend) {
		if b.order.State != StateDisabled {
			b.order = order{State: StateDisabled, Since: t.opt.now(), Weights: b.order.Weights}
		}
	})
}

// Enable takes a drain or disable back. A backend that was disabled gets its
// first flow after its first passed check.
func (t *Table) Enable(ctx context.Context, s Selection) ([]BackendChange, error) {
	return t.order(ctx, "enable", s, true, func(_ *model, b *backend) {
		b.order = order{Weights: b.order.Weights}
	})
}

// SetWeight gives the backends a weight of 0 to [config.MaxWeight] in the
// selected services, until the settings give them another one than now. 0 is
// no share at all. It holds and fails as Drain does.
func (t *Table) SetWeight(ctx context.Context, s Selection, weight int, yes bool) ([]BackendChange, error) {
	return t.order(ctx, "weight", s, yes, func(m *model, b *backend) {
		weights := maps.Clone(b.order.Weights)
		if weights == nil {
			weights = map[netip.AddrPort]weightOrder{}
		}
		for _, id := range m.order {
			for _, mid := range m.services[id].members {
				mem := m.members[mid]
				if mem.record.Addr != b.addr || s.Service != "" && s.Service != m.services[id].name {
					continue
				}
				listen := m.services[id].record.Listen
				weights[listen] = weightOrder{Operator: weight, Settings: mem.weight}
				if weight == mem.weight {
					delete(weights, listen)
				}
			}
		}
		b.order.Weights = weights
	})
}

// order changes the selected backends, all or none.
func (t *Table) order(ctx context.Context, verb string, s Selection, yes bool, edit func(*model, *backend)) ([]BackendChange, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var addrs []netip.AddrPort
	have, want, err := t.change(func(next *model) (err error) {
		before := next.clone()
		if addrs, err = next.selected(s); err != nil {
			return err
		}
		for _, addr := range addrs {
			b := next.backends[addr]
			edit(next, &b)
			next.backends[addr] = b
		}
		next.alignVerdicts(t.opt.now(), nil)
		if bare := left(before, next); len(bare) > 0 && !yes {
			return fmt.Errorf("%w for service %s; say yes to do it all the same", ErrLastBackend, strings.Join(bare, ", "))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", verb, err)
	}
	return t.outcome(have, want, addrs)
}

// left returns the services that lose their last backend that is up.
func left(before, after *model) []string {
	var list []string
	for _, id := range after.order {
		s := after.services[id]
		had := len(before.candidates(before.services[id], before.serves))
		if has := len(after.candidates(s, after.serves)); had > 0 && has == 0 {
			list = append(list, fmt.Sprintf("%q", s.name))
		}
	}
	return list
}

// outcome tells what became of the backends.
func (t *Table) outcome(have, want *model, addrs []netip.AddrPort) ([]BackendChange, error) {
	now, err := readCounters(t.dp)
	if err != nil {
		// The order is in force; only the number of flows is not known.
		t.log.Warn("counters not read", "error", err)
	}
	before, after, flows := have.mentions(), want.mentions(), want.flowsByBackend(now)
	list := make([]BackendChange, 0, len(addrs))
	for _, addr := range addrs {
		was, is := have.backends[addr], want.backends[addr]
		list = append(list, BackendChange{
			Name: is.name, Addr: addr, Services: after[addr].services,
			StateWas: was.state, State: is.state,
			WeightWas: before[addr].weight, Weight: after[addr].weight,
			FlowsNow: flows[addr],
		})
	}
	return list, nil
}
