package engine

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"sluice/internal/config"
	"sluice/loader"
	"sluice/steering"
	"sluice/steering/health"
)

// resultQueue is how many verdicts may wait for the table. Beyond it the
// checker waits: a verdict must not be lost.
const resultQueue = 1024

// checks is the health checker as a table takes it.
type checks struct {
	dp      health.LinkDataplane
	checker *health.Checker
	results chan steering.CheckResult

	mu       sync.Mutex
	ctx      context.Context // of run; nil before
	settings *config.Settings
	list     []steering.Check
	link     *health.Link // nil until a service is in a one-way mode
	byName   map[string]steering.CheckID
	// dial translates the table's check addresses to the link's.
	dial map[netip.Addr]netip.Addr
}

func newChecks(dp health.LinkDataplane) *checks {
	c := &checks{
		dp:      dp,
		results: make(chan steering.CheckResult, resultQueue),
		byName:  make(map[string]steering.CheckID),
		dial:    make(map[netip.Addr]netip.Addr),
	}
	c.checker = health.New(health.Options{Notify: c.notify})
	return c
}

// prepare makes ready for settings that are about to be applied. undo takes it
// back.
func (c *checks) prepare(s *config.Settings) (undo func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil && slices.ContainsFunc(s.Services, isOneWay) {
		if c.link, err = health.OpenLink(c.dp); err != nil {
			return nil, err
		}
	}
	was := c.settings
	c.settings = s
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.settings = was
	}, nil
}

func isOneWay(s config.Service) bool { return s.Carrier().OneWay() }

// run checks until ctx is done.
func (c *checks) run(ctx context.Context) {
	c.mu.Lock()
	c.ctx = ctx
	c.mu.Unlock()
	c.checker.Run(ctx)
}

// SetChecks implements [steering.Checker].
func (c *checks) SetChecks(list []steering.Check) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = list
	c.set()
}

// refresh runs the checks by the settings in force. They may have changed where
// to dial from without changing a check.
func (c *checks) refresh() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set()
}

// set hands the targets over. mu is held, so that of two callers the later one
// has the last word; the checker never calls back with its own lock held.
func (c *checks) set() {
	targets := make([]health.Target, 0, len(c.list))
	byName := make(map[string]steering.CheckID, len(c.list))
	for _, check := range c.list {
		t := c.target(check)
		targets = append(targets, t)
		byName[t.Name] = check.CheckID
	}
	c.byName = byName
	c.checker.Set(targets)
}

// Results implements [steering.Checker].
func (c *checks) Results() <-chan steering.CheckResult { return c.results }

// notify passes a verdict on. It may wait for the table, never with mu held: the
// table may be waiting to set checks.
func (c *checks) notify(change health.Change) {
	c.mu.Lock()
	id, known := c.byName[change.Name]
	ctx := c.ctx
	c.mu.Unlock()
	if !known || change.To == health.Unknown {
		return
	}
	select {
	case c.results <- steering.CheckResult{CheckID: id, Up: change.To == health.Up, Reason: change.Reason}:
	case <-ctx.Done():
	}
}

// target says how one check is run. mu is held.
func (c *checks) target(check steering.Check) health.Target {
	t := health.Target{
		Name:    checkName(check.CheckID),
		Backend: check.Backend,
		Proxy:   check.Proxy,
		Dial:    check.Dial,
		Settings: health.Settings{
			Type: health.Type(check.Settings.Type), Interval: check.Settings.Interval, Timeout: check.Settings.Timeout,
			Rise: check.Settings.Rise, Fall: check.Settings.Fall,
		},
	}
	if check.Up {
		t.Assume = health.Up
	}
	if check.Local {
		t.Backend, t.Local = check.Dial, true
		return t
	}
	if check.Service.IsValid() {
		if real, known := c.dial[check.Dial.Addr()]; known {
			t.Dial = netip.AddrPortFrom(real, check.Dial.Port())
		}
		t.Avoid = c.vipsOf(check.Backend)
		return t
	}
	t.Sources = c.sourcesFor(check.Backend)
	return t
}

// checkName tells checks apart for the checker, which keeps a target's state
// with its name.
func checkName(id steering.CheckID) string {
	if id.Proxy {
		return id.Backend.String() + " by PROXY v2"
	}
	if !id.Service.IsValid() {
		return id.Backend.String()
	}
	return fmt.Sprintf("%s for %s", id.Backend, id.Service)
}

// vipsOf are the VIPs that a backend holds itself.
func (c *checks) vipsOf(backend netip.AddrPort) []netip.Addr {
	var vips []netip.Addr
	for _, s := range c.settings.Services {
		if isOneWay(s) && names(s, backend) && !slices.Contains(vips, s.Listen.Addr()) {
			vips = append(vips, s.Listen.Addr())
		}
	}
	return vips
}

// sourcesFor are the addresses that flows to a backend come from, so that a
// check goes the same way back. Where the client's own is kept there is none.
func (c *checks) sourcesFor(backend netip.AddrPort) []netip.Addr {
	for _, s := range c.settings.Services {
		if s.Mode != config.ModeNAT || !s.ClientAddress.Hides() || !names(s, backend) {
			continue
		}
		if s.SourcePool != nil {
			return s.SourcePool
		}
		return []netip.Addr{s.Listen.Addr()}
	}
	return nil
}

func names(s config.Service, backend netip.AddrPort) bool {
	return slices.ContainsFunc(s.Backends, func(b config.Backend) bool { return b.Addr == backend })
}

// dataplane is the loader's as a table takes it, with check addresses put
// where the check link can be reached.
func (c *checks) dataplane(dp *loader.Dataplane) steering.Dataplane {
	return linked{steering.Loaded(dp), c}
}

type linked struct {
	steering.Dataplane
	checks *checks
}

// PutCheck implements [steering.Dataplane].
func (l linked) PutCheck(check netip.Addr, m loader.MemberID) error {
	c := l.checks
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil {
		return fmt.Errorf("put check address %s: there is no check link", check)
	}
	real, err := c.link.Add(m, check)
	if err == nil {
		c.dial[check] = real
	}
	return err
}

// DeleteCheck implements [steering.Dataplane].
func (l linked) DeleteCheck(check netip.Addr) error {
	c := l.checks
	c.mu.Lock()
	defer c.mu.Unlock()
	real, known := c.dial[check]
	if !known || c.link == nil {
		return nil
	}
	if err := c.link.Remove(real); err != nil {
		return err
	}
	delete(c.dial, check)
	return nil
}
