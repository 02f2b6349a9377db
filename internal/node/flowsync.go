package node

import (
	"context"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"sluice/internal/config"
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

// syncPlan is with whom to sync, and where.
type syncPlan struct {
	Listen []syncAddr
	Peers  []syncPeer
}

// syncAddr is an address of this node on a heartbeat link.
type syncAddr struct {
	Interface string
	Addr      netip.AddrPort
}

type syncPeer struct {
	Node string
	From syncAddr
	Addr netip.AddrPort
}

// syncPlanOf is what settings say about flow sync.
func syncPlanOf(s *config.Settings) syncPlan {
	var p syncPlan
	seen := map[string]bool{}
	for _, c := range s.VirtualClusters {
		h := c.Heartbeat
		if !c.Member || !h.Enabled() || len(c.Peers) == 0 {
			continue
		}
		own := syncAddr{h.Interface, netip.AddrPortFrom(h.Addr, uint16(h.FlowSyncPort))}
		if !slices.Contains(p.Listen, own) {
			p.Listen = append(p.Listen, own)
		}
		for _, peer := range c.Peers {
			// One stream for all clusters that two gateways have in common.
			if !seen[peer.Node] {
				seen[peer.Node] = true
				p.Peers = append(p.Peers, syncPeer{peer.Node, own, netip.AddrPortFrom(peer.Heartbeat, own.Addr.Port())})
			}
		}
	}
	return p
}

// shared says whether flows are synced with other gateways.
func shared(s *config.Settings) bool { return len(syncPlanOf(s).Peers) > 0 }

func (p syncPlan) equal(o syncPlan) bool { return reflect.DeepEqual(p, o) }

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

// rolesKnown are the roles that were told last.
type rolesKnown struct {
	mu   sync.Mutex
	list []vip.Role
}

func (r *rolesKnown) get() []vip.Role {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list
}

func (r *rolesKnown) set(list []vip.Role) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = list
}

// followRoles asks the vip process, which answers when roles change. While it is
// away the last ones hold: owner words close by themselves.
func (n *node) followRoles(ctx context.Context, known *rolesKnown, changed chan<- struct{}) {
	number := uint64(0)
	for ctx.Err() == nil {
		now := n.running.Load()
		if now == nil || !hasClusters(now.settings) {
			known.set(nil)
			pause(ctx, time.Second)
			continue
		}
		roles, err := n.roles.Roles(ctx, number)
		if err != nil {
			number = 0
			pause(ctx, 200*time.Millisecond)
			continue
		}
		if roles.Number == number {
			continue
		}
		number = roles.Number
		known.set(roles.List)
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	n.roles.Close()
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
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
	clusters := clustersOf(now.settings, roles)
	f.settleUnknown(n, clusters)
	if err := f.sync.SetClusters(clusters); err != nil {
		n.notes.set("flowsync", &control.Alarm{Severity: warning, Subject: "flow sync", Text: err.Error(), Hint: "look at virtual_clusters"})
	}
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

// settleUnknown has packets of unknown flows answered by resets while this gateway
// has the flows of all virtual clusters: else one may be on its way here. f.mu is
// held.
func (f *flowSync) settleUnknown(n *node, clusters []flowsync.Cluster) {
	known := true
	for _, c := range clusters {
		known = known && (c.Active || f.sync.Synced(c.Name))
	}
	if f.knowing == known && f.told {
		return
	}
	if err := f.engine.ResetUnknown(known); err != nil {
		n.log.Error("unknown flows", "error", err)
		return
	}
	f.knowing, f.told = known, true
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

// clustersOf are the virtual clusters as flow sync goes by them.
func clustersOf(s *config.Settings, roles []vip.Role) []flowsync.Cluster {
	var list []flowsync.Cluster
	for _, c := range s.VirtualClusters {
		if !c.Member || !c.Heartbeat.Enabled() || len(c.Peers) == 0 {
			continue
		}
		one := flowsync.Cluster{Name: c.Name}
		for _, v := range c.VIPs {
			one.VIPs = append(one.VIPs, v.Addr.Addr())
		}
		for _, p := range c.Peers {
			one.Gateways = append(one.Gateways, p.Node)
		}
		for _, r := range roles {
			if r.Name == c.Name {
				one.Active, one.Term = r.Active, r.Term
			}
		}
		list = append(list, one)
	}
	return list
}

// synced says whether the flows of the active gateway are here. Where nothing is
// synced there is nothing to wait for.
func (n *node) synced(c config.VirtualCluster) bool {
	if len(c.Peers) == 0 || !c.Heartbeat.Enabled() || n.idle() {
		return true
	}
	n.flows.mu.Lock()
	s := n.flows.sync
	n.flows.mu.Unlock()
	return s != nil && s.Synced(c.Name)
}

// addSync adds what flow sync knows to what is shown of virtual clusters.
func (n *node) addSync(list []control.VirtualCluster) {
	n.flows.mu.Lock()
	s := n.flows.sync
	n.flows.mu.Unlock()
	if s == nil {
		return
	}
	status := s.Status()
	for i := range list {
		c := &list[i]
		for _, p := range status.Peers {
			if one, ok := sending(p, c.Name); ok {
				c.Sync = append(c.Sync, one)
			}
			if one, ok := receiving(p, status, c.Name); ok {
				c.Sync = append(c.Sync, one)
			}
		}
	}
}

func sending(p flowsync.PeerStatus, cluster string) (control.FlowSync, bool) {
	for _, c := range p.Send.Clusters {
		if c.Name != cluster {
			continue
		}
		one := control.FlowSync{
			Peer: p.Name, Direction: "out", State: "snapshot", Lag: control.Seconds(p.Send.Lag),
			Flows: p.Send.Flows, Resyncs: resyncs(p.Send.Snapshots),
		}
		switch {
		case !p.Send.Connected:
			one.State = "connecting"
		case c.Refused != "":
			one.State = "refused"
		case c.Complete:
			one.State = "synced"
		}
		return one, true
	}
	return control.FlowSync{}, false
}

func receiving(p flowsync.PeerStatus, s flowsync.Status, cluster string) (control.FlowSync, bool) {
	for _, c := range s.Clusters {
		if c.Name != cluster || c.Active || c.From != p.Name {
			continue
		}
		one := control.FlowSync{Peer: p.Name, Direction: "in", State: "snapshot", Lag: control.Seconds(c.Lag), Flows: p.Receive.Flows}
		switch {
		case c.Synced:
			one.State = "synced"
		case !p.Receive.Connected:
			one.State = "connecting"
		}
		return one, true
	}
	return control.FlowSync{}, false
}

func resyncs(snapshots uint64) uint64 {
	if snapshots == 0 {
		return 0
	}
	return snapshots - 1
}
