package node

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"sluice/internal/control"
	"sluice/vip"
	"sluice/vip/election"
)

// ExplainFail implements [control.FailoverSource]. It goes by what is known now and
// changes nothing.
func (n *node) ExplainFail(ctx context.Context, q control.FailQuestion) (control.FailExplanation, error) {
	s, err := n.vipStatus(ctx)
	if err != nil {
		return control.FailExplanation{}, awayError(err)
	}
	q, err = found(s, n.self.Name, q)
	if err != nil {
		return control.FailExplanation{}, err
	}
	answer := control.FailExplanation{Kind: q.Kind, Name: q.Name, Clusters: control.List[control.FailOutcome]{}}
	for _, c := range s.Clusters {
		if q.Cluster == "" || q.Cluster == c.Name {
			answer.Clusters = append(answer.Clusters, outcome(c, n.self.Name, q))
		}
	}
	return answer, nil
}

// found fills in what kind of thing a name is.
func found(s vip.Status, self string, q control.FailQuestion) (control.FailQuestion, error) {
	var kinds []control.FailKind
	known := false
	for _, c := range s.Clusters {
		if q.Cluster != "" && q.Cluster != c.Name {
			continue
		}
		known = true
		if q.Name == self || slices.ContainsFunc(c.Peers, func(p vip.PeerStatus) bool { return p.Node == q.Name }) {
			kinds = append(kinds, control.FailNode)
		}
		if slices.ContainsFunc(c.Links, func(l vip.LinkStatus) bool { return l.Interface == q.Name }) {
			kinds = append(kinds, control.FailLink)
		}
		addr, err := netip.ParseAddr(q.Name)
		if err == nil && slices.ContainsFunc(c.Pings, func(p vip.PingStatus) bool { return pings(p, addr) }) {
			kinds = append(kinds, control.FailPing)
		}
	}
	if !known {
		return q, control.NewError(control.CodeNotFound, "there is no such virtual cluster here", `"sluice show vips" lists them`)
	}
	if q.Kind == "" && len(kinds) > 0 {
		q.Kind = kinds[0]
	}
	if !slices.Contains(kinds, q.Kind) {
		return q, control.NewError(control.CodeNotFound, fmt.Sprintf("%q is no gateway, no interface of a VIP and no ping host here", q.Name),
			`"sluice show vips --json" lists them`)
	}
	return q, nil
}

func pings(p vip.PingStatus, addr netip.Addr) bool {
	return slices.ContainsFunc(p.Hosts, func(h vip.PingHost) bool { return h.Addr == addr })
}

// gateway is one that may be active, as it would be.
type gateway struct {
	name     string
	active   bool
	level    election.Level
	priority uint8
	addr     netip.Addr
	out      string // why it cannot be active at all
}

// outcome says what would become of one virtual cluster.
func outcome(c vip.ClusterStatus, self string, q control.FailQuestion) control.FailOutcome {
	out := control.FailOutcome{Cluster: c.Name, Why: control.List[string]{}}
	say := func(format string, args ...any) { out.Why = append(out.Why, fmt.Sprintf(format, args...)) }
	list := gateways(c, self)
	for _, g := range list {
		if g.active {
			out.Now = g.name
		}
	}
	fail(c, list, self, q, say)
	best, stays := decide(list, c.Preempt)
	if best == nil {
		say("no gateway could serve")
		return out
	}
	out.Then = best.name
	switch {
	case stays:
		say("%s is active and no other serves better: it stays", best.name)
	case out.Now == "":
		say("%s would be the first to take the role", best.name)
	default:
		say("%s takes over", best.name)
	}
	return out
}

func gateways(c vip.ClusterStatus, self string) []*gateway {
	own := &gateway{name: self, active: c.State == "active", level: election.Sound, priority: c.Base, addr: c.Address}
	switch {
	case len(c.Faults) > 0:
		own.out = c.Faults[0]
	case slices.ContainsFunc(c.Links, func(l vip.LinkStatus) bool { return l.Problem != "" }),
		slices.ContainsFunc(c.Pings, func(p vip.PingStatus) bool { return !p.OK }):
		own.level = election.Impaired
	}
	list := []*gateway{own}
	for _, p := range c.Peers {
		g := &gateway{name: p.Node, active: p.Alive && p.State == "active", level: election.Sound, priority: p.Base, addr: p.Addr.Addr()}
		switch {
		case !p.Alive:
			g.out = "no heartbeat comes from it"
		case !p.Healthy:
			g.out = "it has a fault"
		case !p.LinksOK || !p.PingsOK:
			g.level = election.Impaired
		}
		list = append(list, g)
	}
	return list
}

// fail lets the thing fail.
func fail(c vip.ClusterStatus, list []*gateway, self string, q control.FailQuestion, say func(string, ...any)) {
	switch q.Kind {
	case control.FailNode:
		for _, g := range list {
			if g.name == q.Name {
				g.out = "it failed"
				say("without %s its adverts and heartbeats end; its owner words close by themselves", g.name)
			}
		}
	case control.FailLink:
		if slices.ContainsFunc(c.Links, func(l vip.LinkStatus) bool { return l.Interface == q.Name }) {
			impair(list[0])
			say("without %s this gateway is impaired: another one that is sound stands before it", q.Name)
		}
	case control.FailPing:
		failPing(c, list, netip.MustParseAddr(q.Name), say)
	}
}

func impair(g *gateway) { g.level = min(g.level, election.Impaired) }

// failPing: a host that is down answers no gateway.
func failPing(c vip.ClusterStatus, list []*gateway, addr netip.Addr, say func(string, ...any)) {
	for _, p := range c.Pings {
		if !pings(p, addr) {
			continue
		}
		if slices.ContainsFunc(p.Hosts, func(h vip.PingHost) bool { return h.Addr != addr && h.OK }) {
			say("the ping item on %s has another host that answers: nothing changes", p.Interface)
			continue
		}
		say("no host of the ping item on %s would answer, here or on any other gateway: all are impaired alike", p.Interface)
		for _, g := range list {
			impair(g)
		}
	}
}

// decide says who would be active; nil is nobody. stays says that it is now.
func decide(list []*gateway, preempt bool) (best *gateway, stays bool) {
	for _, g := range list {
		if g.out == "" && (best == nil || stands(g, best, preempt)) {
			best = g
		}
	}
	return best, best != nil && best.active
}

// stands says whether a gateway would have the role before another: as in the
// election the active one keeps it among equals, unless a sound one preempts.
func stands(a, b *gateway, preempt bool) bool {
	switch {
	case a.level != b.level:
		return a.level > b.level
	case a.active != b.active && !(preempt && a.level == election.Sound):
		return a.active
	case a.priority != b.priority:
		return a.priority > b.priority
	}
	return b.addr.Less(a.addr)
}
