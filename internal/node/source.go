package node

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"sluice/internal/control"
	"sluice/internal/node/engine"
	"sluice/internal/node/process"
	"sluice/internal/node/view"
	"sluice/steering"
)

// The methods in this file are what the control API and the metrics ask.
var (
	_ control.StatusSource  = (*node)(nil)
	_ control.CounterSource = (*node)(nil)
	_ control.FlowSource    = (*node)(nil)
	_ control.Explainer     = (*node)(nil)
)

// steers returns the running engine, or why there is none to ask.
func (n *node) steers() (*engine.Engine, error) {
	if e := n.engine.Load(); e != nil {
		return e, nil
	}
	if n.idle() {
		return nil, control.NewError(control.CodeUnavailable, "this node has no services", "name some in the settings and restart \"sluice run\"")
	}
	return nil, control.NewError(control.CodeUnavailable, "the dataplane is being opened anew", "ask again in a second")
}

// table asks the table for how everything stands. Without services nothing
// does, which is no error.
func (n *node) table() (steering.Status, error) {
	if n.idle() {
		return steering.Status{}, nil
	}
	e, err := n.steers()
	if err != nil {
		return steering.Status{}, err
	}
	return e.Table().Status()
}

// idle says that the settings have nothing to steer.
func (n *node) idle() bool {
	now := n.running.Load()
	return n.engine.Load() == nil && now != nil && len(now.settings.Services) == 0
}

// Status implements [control.StatusSource]. It answers without an engine, too,
// and where the dataplane does not: how the node is matters most then.
func (n *node) Status(context.Context) (control.Status, error) {
	now := time.Now()
	s := control.Status{
		Node: n.self.Name, Build: control.ThisBuild(), StartedAt: n.started,
		Uptime: control.Seconds(now.Sub(n.started).Round(time.Millisecond)),
		PID:    os.Getpid(), Processes: n.processes(), Settings: n.settingsState(),
	}
	if n.orphaned() {
		n.notes.set("parent", orphanAlarm())
	}
	var err error
	e := n.engine.Load()
	if e != nil {
		var pressed bool
		pressed, err = e.Guard().Pressed()
		n.notes.set("pressure", pressureAlarm(pressed))
	}
	s.Alarms = n.notes.list()
	if e != nil {
		err = errors.Join(err, describe(&s, e))
	}
	if d := n.decap.Load(); d != nil {
		err = errors.Join(err, describeDecap(&s, d))
	}
	if err != nil {
		alarm := *countersAlarm(err)
		alarm.Since = now
		s.Alarms = append(s.Alarms, alarm)
	}
	slices.SortStableFunc(s.Alarms, worstFirst)
	return s, nil
}

// describe adds what the engine knows.
func describe(s *control.Status, e *engine.Engine) error {
	s.Attachments = view.Attachments(e.Attachments(), "steer")
	standing, err := e.Table().Status()
	if err != nil {
		return err
	}
	s.Alarms = append(s.Alarms, view.Alarms(standing.Alarms)...)
	drops, err := e.Drops()
	s.Totals = view.Totals(standing, drops, e.MaxFlows())
	return err
}

// describeDecap adds what is taken out of other packets.
func describeDecap(s *control.Status, d *engine.Decap) error {
	s.Attachments = append(s.Attachments, view.Attachments(d.Attachments(), "decap")...)
	counters, err := d.Counters()
	s.Decap = view.Decap(counters)
	return err
}

// orphaned says that the parent is gone: whoever inherited this process does
// not start it again.
func (n *node) orphaned() bool { return n.boot.Report != 0 && os.Getppid() != n.parent }

// processes are this one and, as far as they live, its parent and the vip
// process.
func (n *node) processes() []control.Process {
	all, err := process.AllCaps()
	if err != nil {
		all = 0
	}
	var list []control.Process
	if own, err := process.ReadStatus(0); err == nil {
		p := view.Process("node", os.Getpid(), own, all)
		p.StartedAt, p.Restarts = n.started, n.boot.Restarts
		list = append(list, p)
	}
	vip, found, err := process.FindCompanion(n.boot)
	if err != nil {
		n.log.Warn("vip process not shown", "error", err)
	}
	if found {
		list = append(list, view.Companion(vip, all))
	}
	if n.boot.Report != 0 && !n.orphaned() {
		if s, err := process.ReadStatus(n.parent); err == nil {
			p := view.Process("parent", n.parent, s, all)
			if p.StartedAt, err = process.StartedAt(n.parent); err == nil {
				list = append(list, p)
			}
		}
	}
	return list
}

// settingsState is which settings run. It is asked only after begin, when there
// are some.
func (n *node) settingsState() control.SettingsState {
	now := n.running.Load()
	return control.SettingsState{
		Generation: now.generation.Number, File: n.boot.Settings, FileIsBehind: now.behind, LastReload: n.lastReload.Load(),
	}
}

// Nodes implements [control.StatusSource]. Nothing is known of others until
// nodes speak to each other.
func (n *node) Nodes(ctx context.Context) ([]control.Node, error) {
	status, err := n.Status(ctx)
	if err != nil {
		return nil, err
	}
	self := control.Node{
		Name: n.self.Name, Self: true, Known: true, Version: status.Build.Version, StartedAt: n.started,
		Generation: status.Settings.Generation, FlowsNow: status.Totals.FlowsNow,
	}
	list := []control.Node{self}
	for name := range n.running.Load().settings.Nodes {
		if name != self.Name {
			list = append(list, control.Node{Name: name})
		}
	}
	slices.SortFunc(list, func(a, b control.Node) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Services implements [control.CounterSource].
func (n *node) Services(context.Context) ([]control.Service, error) {
	s, err := n.table()
	return view.Services(s), err
}

// Backends implements [control.CounterSource].
func (n *node) Backends(context.Context) ([]control.Backend, error) {
	s, err := n.table()
	return view.Backends(s), err
}

// Drops implements [control.CounterSource].
func (n *node) Drops(context.Context) ([]control.Drop, error) {
	if n.idle() {
		return nil, nil
	}
	e, err := n.steers()
	if err != nil {
		return nil, err
	}
	drops, err := e.Drops()
	return view.Drops(drops), err
}

// Flows implements [control.FlowSource].
func (n *node) Flows(ctx context.Context, q control.FlowQuery) (control.FlowPage, error) {
	e, err := n.steers()
	if err != nil {
		return control.FlowPage{}, err
	}
	page, err := e.Table().Flows(ctx, view.Query(q))
	return view.Page(page, q.Offset), view.Error(err)
}

// Explain implements [control.Explainer].
func (n *node) Explain(ctx context.Context, client, listen netip.AddrPort) (control.Explanation, error) {
	e, err := n.steers()
	if err != nil {
		return control.Explanation{}, err
	}
	explanation, err := e.Table().Explain(ctx, client, listen)
	return view.Explanation(explanation), view.Error(err)
}
