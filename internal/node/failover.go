package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sluice/internal/control"
	"sluice/internal/node/failover"
	"sluice/internal/node/view"
	"sluice/vip"
	"sluice/vip/election"
)

var _ control.FailoverSource = (*node)(nil)

// settling is how long an order's effect is waited for.
const settling = 3 * time.Second

// vipStatus asks the vip process; with no virtual clusters there is nothing to ask.
func (n *node) vipStatus(ctx context.Context) (vip.Status, error) {
	now := n.running.Load()
	if now == nil || !hasClusters(now.settings) {
		return vip.Status{}, nil
	}
	return n.vips.Status(ctx)
}

// VirtualClusters implements [control.FailoverSource].
func (n *node) VirtualClusters(ctx context.Context) ([]control.VirtualCluster, error) {
	s, err := n.vipStatus(ctx)
	if err != nil {
		return nil, awayError(err)
	}
	list := view.VirtualClusters(s)
	n.addSync(list)
	return list, nil
}

func awayError(err error) error {
	if errors.Is(err, failover.ErrAway) {
		return control.NewError(control.CodeUnavailable, err.Error(), `it is started again by "sluice run"; look at its log`)
	}
	return err
}

// History implements [control.FailoverSource].
func (n *node) History(ctx context.Context, q control.HistoryQuery) ([]control.StateChange, error) {
	now := n.running.Load()
	if now == nil || !hasClusters(now.settings) {
		return nil, nil
	}
	changes, err := n.vips.History(ctx)
	if err != nil {
		return nil, awayError(err)
	}
	slices.Reverse(changes)
	list := view.History(changes, q.Cluster)
	return list[:min(len(list), q.Limit)], nil
}

// Swap implements [control.FailoverSource].
func (n *node) Swap(ctx context.Context, o control.VIPOrder) ([]control.VIPChange, error) {
	return n.moveVIPs(ctx, o, election.Swap)
}

// Resign implements [control.FailoverSource].
func (n *node) Resign(ctx context.Context, o control.VIPOrder) ([]control.VIPChange, error) {
	return n.moveVIPs(ctx, o, election.Resign)
}

// moveVIPs carries an order out for each cluster it names, after all were looked at.
func (n *node) moveVIPs(ctx context.Context, o control.VIPOrder, what election.Order) ([]control.VIPChange, error) {
	s, err := n.vipStatus(ctx)
	if err != nil {
		return nil, awayError(err)
	}
	chosen, err := choose(s, o, what)
	if err != nil {
		return nil, err
	}
	var changes []control.VIPChange
	for _, was := range chosen {
		change, err := n.orderOne(ctx, was, o, what)
		if err != nil {
			return changes, err
		}
		changes = append(changes, change)
	}
	return changes, nil
}

// choose finds the clusters of an order and refuses it as a whole where one of them
// would be left to nobody.
func choose(s vip.Status, o control.VIPOrder, what election.Order) ([]vip.ClusterStatus, error) {
	var chosen []vip.ClusterStatus
	for _, c := range s.Clusters {
		if o.All || slices.Contains(o.Clusters, c.Name) {
			chosen = append(chosen, c)
		}
	}
	for _, name := range o.Clusters {
		if !slices.ContainsFunc(s.Clusters, func(c vip.ClusterStatus) bool { return c.Name == name }) {
			return nil, control.NewError(control.CodeNotFound, fmt.Sprintf("no virtual cluster %q", name), `"sluice show vips" lists them`)
		}
	}
	for _, c := range chosen {
		if c.State == election.Active.String() && !o.Yes && !hasSuccessor(c) {
			return nil, control.NewError(control.CodeNoPeer, fmt.Sprintf("no other gateway can take the VIPs of virtual cluster %q", c.Name), "bring one up first, or give --yes")
		}
	}
	return chosen, nil
}

func hasSuccessor(c vip.ClusterStatus) bool {
	return slices.ContainsFunc(c.Peers, func(p vip.PeerStatus) bool {
		return p.Alive && p.Healthy && p.State == election.Backup.String()
	})
}

// orderOne waits until the order has shown.
func (n *node) orderOne(ctx context.Context, was vip.ClusterStatus, o control.VIPOrder, what election.Order) (control.VIPChange, error) {
	hold := time.Duration(o.For)
	change := control.VIPChange{Cluster: was.Name, StateWas: control.VIPState(was.State), State: control.VIPState(was.State)}
	if hold > 0 {
		until := time.Now().Add(hold)
		change.Until = &until
	}
	active := was.State == election.Active.String()
	if what == election.Swap && active && !hasSuccessor(was) {
		what = election.Resign // --yes
	}
	err := n.vips.Order(ctx, was.Name, what, hold)
	switch {
	case errors.Is(err, election.ErrNotActive):
		return change, nil // it is as the order wants it
	case errors.Is(err, election.ErrNobody):
		return change, control.NewError(control.CodeNoPeer, err.Error(), "bring another gateway up first, or give --yes")
	case errors.Is(err, election.ErrFault):
		return change, control.NewError(control.CodeUnavailable, err.Error(), `"sluice show vips" says why`)
	case err != nil:
		return change, awayError(err)
	}
	return n.settled(ctx, change)
}

// settled waits until somebody is active other than before.
func (n *node) settled(ctx context.Context, change control.VIPChange) (control.VIPChange, error) {
	end := time.Now().Add(settling)
	for {
		s, err := n.vipStatus(ctx)
		if err != nil {
			return change, awayError(err)
		}
		for _, c := range s.Clusters {
			if c.Name != change.Cluster {
				continue
			}
			change.State, change.Peer = control.VIPState(c.State), activePeer(c)
			if change.State != change.StateWas && (change.State == control.VIPActive || change.Peer != "") {
				return change, nil
			}
		}
		if time.Now().After(end) {
			return change, nil
		}
		select {
		case <-ctx.Done():
			return change, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func activePeer(c vip.ClusterStatus) string {
	for _, p := range c.Peers {
		if p.Alive && p.State == election.Active.String() {
			return p.Node
		}
	}
	return ""
}
