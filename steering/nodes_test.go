package steering

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sluice/internal/config"
	"sluice/loader"
)

// onNodes is a service in mode sshd on nodes b1 (this one), b2 and so on; b9 is
// another node that terminates nothing.
func onNodes(nodes ...string) config.Service {
	s := serving(nodes...)
	s.Mode, s.ClientAddress, s.Via, s.NodeAddr = config.ModeSSHD, "", config.ModeDSR, "10.0.0.${n}"
	for i, b := range s.Backends {
		s.Nodes = append(s.Nodes, config.ServiceNode{Name: b.Name, Weight: b.Weight})
		if s.Backends[i].Local = b.Name == "b1"; !s.Backends[i].Local {
			s.Others = append(s.Others, b.Addr.Addr())
		}
	}
	s.Others = append(s.Others, backendAddr("b9").Addr())
	return s
}

// TestNodesAreBackends: nodes are steered to, checked, drained and explained as
// backends are; this one needs no next hop, and its check none of the link.
func TestNodesAreBackends(t *testing.T) {
	r := newRig(t)
	r.resolver.local = backendAddr("b1").Addr()
	r.apply(onNodes("b1", "b2*2"))
	r.wantTakers(vip)
	var checks []Check
	for _, id := range r.checker.running() {
		checks = append(checks, r.checker.checks[id])
	}
	for _, c := range checks {
		own := c.Backend == backendAddr("b1")
		if c.Local != own || own && c.Dial != vip || !own && (c.Dial == c.Backend || c.Dial == vip) || c.Service != vip {
			t.Errorf("check of %v is %+v", c.Backend, c)
		}
	}
	if len(checks) != 2 || len(r.dp.checks) != 1 {
		t.Errorf("%d checks run, %d by the link; want 2 and 1", len(checks), len(r.dp.checks))
	}
	r.allUp()
	r.wantTakers(vip, "b1", "b2")
	for _, m := range r.dp.members {
		if own := m.Addr == backendAddr("b1"); m.Local != own || (m.NextHop == 0) != own {
			t.Errorf("member is %+v", m)
		}
	}
	here, away := r.flowTo(vip, "b1"), r.flowTo(vip, "b2")
	if e := r.explain(here, vip); e.Verdict != VerdictPass || e.Backend != "b1" || !strings.Contains(strings.Join(e.Steps, "\n"), "this node") {
		t.Errorf("explanation is %+v", e)
	}
	if e := r.explain(away, vip); e.Verdict != VerdictForward || e.Backend != "b2" || !e.Nodes {
		t.Errorf("explanation is %+v", e)
	}
	r.drain(named("b1"), DrainOptions{})
	r.wantTakers(vip, "b2")
	r.lives(here, vip, "b1")
	r.wantState("b1", StateDraining)
	r.results(CheckResult{CheckID: CheckID{Backend: backendAddr("b2"), Service: vip}, Reason: "connection refused"})
	r.wantTakers(vip)
	r.lives(away, vip, "b2")
	if s := r.status().Services[0]; s.Mode != loader.ModeDSR || !s.Nodes || !s.UpperBound {
		t.Errorf("the service is %+v", s)
	}
}

// TestOtherNodes: whoever may send connections on to this node is known by its
// next hop, also one that terminates none, for as long as the settings name it.
func TestOtherNodes(t *testing.T) {
	r := newRig(t)
	want := func(when string, names ...string) {
		t.Helper()
		var hops []loader.NextHopID
		for _, name := range names {
			hops = append(hops, r.table.hops[backendAddr(name).Addr()])
		}
		slices.Sort(hops)
		if !slices.Equal(r.dp.nodes, hops) {
			t.Errorf("%s: nodes are behind the hops %v, want %v", when, r.dp.nodes, hops)
		}
	}
	r.apply(serving("b2"))
	want("without nodes")
	r.apply(serving("b2"), at(onNodes("b1", "b2"), "login", "192.0.2.4:22"))
	want("with them", "b2", "b9")
	if n := r.resolver.acquired[backendAddr("b2").Addr()]; n != 1 {
		t.Errorf("the address of a node that is a backend, too, is acquired %d times", n)
	}
	moved := r.resolver.hop()
	if err := r.table.Moved(backendAddr("b9").Addr(), moved); err != nil {
		t.Fatal(err)
	}
	want("after one moved", "b2", "b9")
	if !slices.Contains(r.dp.nodes, moved) {
		t.Errorf("nodes are behind %v, one moved to %d", r.dp.nodes, moved)
	}
	r.restart()
	r.apply(serving("b2"), at(onNodes("b1", "b2"), "login", "192.0.2.4:22"))
	want("after a restart", "b2", "b9")
	r.apply(serving("b2"))
	want("without nodes again")
	if n := r.resolver.acquired[backendAddr("b9").Addr()]; n != 0 {
		t.Error("the address of a node that is none any more is still acquired")
	}
}

// TestOtherNodesTakenBack: a change that fails leaves the nodes as they were.
func TestOtherNodesTakenBack(t *testing.T) {
	r := newRig(t)
	r.apply(onNodes("b1", "b2"))
	before := slices.Clone(r.dp.nodes)
	r.dp.failing(func(call string) error {
		if strings.HasPrefix(call, "Publish") {
			return errInjected
		}
		return nil
	})
	if _, err := r.table.Apply(bg, settings(onNodes("b1", "b2"), at(onNodes("b1", "b3"), "two", "192.0.2.4:22"))); err == nil {
		t.Fatal("the change succeeded")
	}
	if !slices.Equal(r.dp.nodes, before) {
		t.Errorf("nodes are behind %v, want %v", r.dp.nodes, before)
	}
	r.resolver.local = backendAddr("b9").Addr()
	r.dp.failing(nil)
	r.apply(serving("b2"))
	if _, err := r.table.Apply(bg, settings(onNodes("b1", "b2"))); err == nil || !strings.Contains(err.Error(), "node at 10.0.0.9") {
		t.Errorf("another node at an address of this one: %v", err)
	}
}

// TestNodeByName: a node is meant with all its addresses, other backends of one
// name are not.
func TestNodeByName(t *testing.T) {
	r := newRig(t)
	six := at(onNodes("b1", "b2"), "six", "[2001:db8::3]:22")
	for i := range six.Backends {
		addr := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(i + 1)})
		six.Backends[i].Addr = netip.AddrPortFrom(addr, 22)
	}
	r.apply(onNodes("b1", "b2"), six)
	r.allUp()
	if changes := r.drain(named("b2"), DrainOptions{}); len(changes) != 2 {
		t.Errorf("draining a node of two addresses changed %+v", changes)
	}
	r.wantTakers(vip, "b1")
	if changes, err := r.table.Enable(bg, Selection{Backends: []string{"b2"}, Service: "six"}); err != nil || len(changes) != 1 {
		t.Errorf("enabling it in one service changed %+v: %v", changes, err)
	}
	r.apply(serving("b1"), with(at(serving("b2"), "two", "192.0.2.4:22"), func(s *config.Service) { s.Backends[0].Name = "b1" }))
	if _, err := r.table.Drain(bg, named("b1"), DrainOptions{Yes: true}); err == nil {
		t.Error("two backends of one name were drained")
	}
}
