package node

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"sluice/internal/control"
	"sluice/internal/node/engine"
	"sluice/steering/flowsync"
	"sluice/steering/flowsync/link"
	"sluice/vip"
)

// flowSync tells the other gateways of flows, and takes over what they tell. It is
// made anew when gateways, addresses or the engine change.
type flowSync struct {
	mu     sync.Mutex
	sync   *flowsync.Sync // nil where there is nobody to sync with
	plan   syncPlan
	engine *engine.Engine
	stop   context.CancelFunc
	ended  chan struct{}
	// running is the generation that was last looked at, lost the events that the
	// dataplane had lost then.
	running *running
	lost    uint64
	// knowing is what the engine was told of unknown flows, if it was.
	knowing, told bool
}

// keepFlowSync runs flow sync as long as the node does.
type keepFlowSync struct {
	gate
	n *node
}

func newKeepFlowSync(n *node) *keepFlowSync { return &keepFlowSync{newGate(), n} }

// String implements [Task].
func (*keepFlowSync) String() string { return "flow sync" }

// Run implements [Task]. It follows the roles that the vip process tells, and looks
// after each change of settings and engine.
func (t *keepFlowSync) Run(ctx context.Context) error {
	t.open()
	n := t.n
	defer n.flows.end(n)
	changed := make(chan struct{}, 1)
	var following sync.WaitGroup
	defer following.Wait()
	var known rolesKnown
	following.Go(func() { n.followRoles(ctx, &known, changed) })
	ticks := time.NewTicker(time.Second)
	defer ticks.Stop()
	for {
		n.flows.settle(ctx, n, known.get())
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
			n.flows.lookForLoss()
		case <-changed:
		}
	}
}

// settle brings flow sync to what settings, engine and roles say now.
func (f *flowSync) settle(ctx context.Context, n *node, roles []vip.Role) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, e := n.running.Load(), n.engine.Load()
	if now == nil || e == nil {
		f.endLocked(n)
		return
	}
	plan := syncPlanOf(now.settings)
	if f.engine != e || !f.plan.equal(plan) {
		f.endLocked(n)
		f.begin(ctx, n, e, plan)
	}
	if f.sync == nil {
		return
	}
	if f.running != now {
		f.running = now
		f.sync.SettingsChanged()
	}
	if err := f.sync.SetClusters(clustersOf(now.settings, roles)); err != nil {
		n.notes.set("flowsync", &control.Alarm{Severity: warning, Subject: "flow sync", Text: err.Error(), Hint: "look at virtual_clusters"})
		return
	}
	clusters, at := f.sync.Status().Clusters, time.Now()
	f.settleUnknown(n, clusters, at)
	n.notes.set("flowsync.late", lateAlarm(clusters, at))
}

// begin makes a new one; f.mu is held.
func (f *flowSync) begin(ctx context.Context, n *node, e *engine.Engine, plan syncPlan) {
	f.engine, f.plan, f.running = e, plan, nil
	if len(plan.Peers) == 0 {
		return
	}
	o := flowsync.Options{Self: n.self.Name, Table: e.Flows(), Log: n.log}
	copy(o.Key[:], n.key.FlowSync())
	for _, at := range plan.Listen {
		o.Listen = append(o.Listen, func(ctx context.Context) (net.Listener, error) { return link.Listen(ctx, at.Interface, at.Addr) })
	}
	for _, p := range plan.Peers {
		o.Peers = append(o.Peers, flowsync.Peer{Name: p.Node, Addr: p.Addr.Addr(), Dial: func(ctx context.Context) (net.Conn, error) {
			return link.Dial(ctx, p.From.Interface, p.From.Addr.Addr(), p.Addr)
		}})
	}
	s, err := flowsync.New(o)
	if err != nil {
		n.notes.set("flowsync", &control.Alarm{Severity: critical, Subject: "flow sync", Text: err.Error(), Hint: "connections end with their gateway: look at virtual_clusters"})
		return
	}
	n.notes.set("flowsync", nil)
	ctx, f.stop = context.WithCancel(ctx)
	f.sync, f.ended = s, make(chan struct{})
	e.Table().SetFlowChanges(func(listen, client netip.AddrPort) {
		s.Changed(flowsync.Key{Service: listen, Client: client})
	})
	n.audience.needed(true)
	go func() {
		defer close(f.ended)
		s.Run(ctx)
	}()
}

// end stops it.
func (f *flowSync) end(n *node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.endLocked(n)
}

func (f *flowSync) endLocked(n *node) {
	if f.sync != nil {
		f.engine.Table().SetFlowChanges(nil)
		n.audience.needed(false)
		f.stop()
		<-f.ended
	}
	n.notes.set("flowsync.late", nil)
	f.sync, f.engine, f.plan, f.lost, f.told = nil, nil, syncPlan{}, 0, false
}

// lookForLoss has every peer get a new snapshot when the dataplane lost events.
func (f *flowSync) lookForLoss() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sync == nil {
		return
	}
	lost, err := f.engine.EventsLost()
	if err == nil && lost != f.lost {
		f.lost = lost
		f.sync.Lost()
	}
}
