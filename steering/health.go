package steering

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"

	"sluice/internal/config"
	"sluice/loader"
)

// checksOf returns the checks that are to run: of every backend that is not
// disabled, once for all services or, in one-way modes, once for each.
func checksOf(m *model) []Check {
	var list []Check
	seen := map[CheckID]bool{}
	for _, id := range m.order {
		s := m.services[id]
		if s.settings.HealthCheck.Type == config.HealthCheckOff {
			continue
		}
		for _, mid := range s.members {
			mem := m.members[mid]
			check := Check{CheckID: m.checkID(mem), Dial: mem.record.Addr, Settings: s.settings.HealthCheck}
			if seen[check.CheckID] || m.backends[mem.record.Addr].order.State == StateDisabled {
				continue
			}
			seen[check.CheckID] = true
			if mem.check.IsValid() {
				check.Dial = netip.AddrPortFrom(mem.check, s.record.Listen.Port())
			}
			if mem.record.Local {
				check.Local, check.Dial = true, s.record.Listen
			}
			check.Up = m.verdicts[check.CheckID].up
			list = append(list, check)
		}
	}
	return list
}

// alignVerdicts keeps one verdict for each check that runs. New checks start
// as passed where up says so, else with nothing known.
func (m *model) alignVerdicts(now time.Time, up map[CheckID]bool) {
	running := map[CheckID]bool{}
	for _, c := range checksOf(m) {
		running[c.CheckID] = true
		if _, ok := m.verdicts[c.CheckID]; !ok {
			m.verdicts[c.CheckID] = verdict{known: up[c.CheckID], up: up[c.CheckID], since: now}
		}
	}
	maps.DeleteFunc(m.verdicts, func(id CheckID, _ verdict) bool { return !running[id] })
}

// runChecks tells the checker what to run, if that changed.
func (t *Table) runChecks(m *model) {
	list := checksOf(m)
	same := slices.EqualFunc(t.checks, list, func(a, b Check) bool {
		a.Up = b.Up // how it starts is of no matter to one that runs
		return a == b
	})
	if t.checks = list; !same {
		t.opt.Checker.SetChecks(slices.Clone(list))
	}
}

// retryPeriod is how soon a change that the dataplane refused is tried again.
const retryPeriod = time.Second

// followHealth takes verdicts over until ctx is done. Those that come together
// are one change: when a switch dies, a thousand backends go at once.
func (t *Table) followHealth(ctx context.Context) error {
	var pending []CheckResult
	retry := time.NewTicker(retryPeriod)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case r := <-t.opt.Checker.Results():
			pending = t.gather(append(pending, r))
		case <-retry.C:
		}
		if len(pending) == 0 {
			continue
		}
		if err := t.applyResults(pending); err != nil {
			t.log.Error("health not applied", "error", err)
			continue
		}
		pending = nil
	}
}

// gather adds what has been delivered meanwhile.
func (t *Table) gather(results []CheckResult) []CheckResult {
	for len(results) < loader.MaxMembers {
		select {
		case r := <-t.opt.Checker.Results():
			results = append(results, r)
		default:
			return results
		}
	}
	return results
}

func (t *Table) applyResults(results []CheckResult) error {
	var fallen map[loader.MemberID]bool
	_, _, err := t.change(func(next *model) error {
		failed := map[CheckID]bool{}
		for _, r := range results {
			v, runs := next.verdicts[r.CheckID]
			if !runs {
				continue // of a check that was stopped meanwhile
			}
			failed[r.CheckID] = failed[r.CheckID] && !r.Up || v.up && !r.Up
			if !v.known || v.up != r.Up {
				v.since = t.opt.now()
			}
			v.known, v.up, v.reason = true, r.Up, r.Reason
			next.verdicts[r.CheckID] = v
		}
		fallen = next.toReset(failed)
		return nil
	})
	if err == nil && len(fallen) > 0 {
		t.resets.add(fallen, t.opt.monotonic())
		t.poke()
	}
	return err
}

// toReset returns the members whose flows end with a check that failed.
func (m *model) toReset(failed map[CheckID]bool) map[loader.MemberID]bool {
	ids := map[loader.MemberID]bool{}
	for id, mem := range m.members {
		if m.services[mem.record.Service].settings.OnDown == config.OnDownReset && failed[m.checkID(mem)] {
			ids[id] = true
		}
	}
	return ids
}
