package steering

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

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

// TestOtherNodes: whoever may send frames on to this node is known by its MAC,
// also one that terminates nothing, for as long as the settings name it.
func TestOtherNodes(t *testing.T) {
	r := newRig(t)
	b2, b9 := backendAddr("b2").Addr(), backendAddr("b9").Addr()
	r.resolver.macs = map[netip.Addr]net.HardwareAddr{b9: nil} // behind a router, or silent
	want := func(when string, last ...byte) {
		t.Helper()
		var macs []net.HardwareAddr
		for _, n := range last {
			macs = append(macs, net.HardwareAddr{2, 0, 0, 0, 1, n})
		}
		if diff := cmp.Diff(loader.Nodes{MACs: macs}, r.dp.nodes); diff != "" {
			t.Errorf("%s: nodes (-want +got):\n%s", when, diff)
		}
	}
	r.apply(serving("b2"))
	want("without nodes")
	r.apply(serving("b2"), at(onNodes("b1", "b2"), "login", "192.0.2.4:22"))
	want("one of two answers", 2)
	if n := r.resolver.acquired[b2]; n != 1 {
		t.Errorf("the address of a node that is a backend, too, is acquired %d times", n)
	}
	delete(r.resolver.macs, b9)
	for _, addr := range []netip.Addr{b2, b9} {
		if err := r.table.Moved(addr, r.table.hops[addr]); err != nil {
			t.Fatal(err)
		}
	}
	want("both answer", 2, 9)
	r.restart()
	r.apply(serving("b2"), at(onNodes("b1", "b2"), "login", "192.0.2.4:22"))
	want("after a restart", 2, 9)
	r.apply(serving("b2"))
	want("without nodes again")
	if n := r.resolver.acquired[b9]; n != 0 {
		t.Error("the address of a node that is none any more is still acquired")
	}
}

// TestOtherNodesByTunnel: between nodes that put packets into others the
// addresses count, for a router may be between.
func TestOtherNodesByTunnel(t *testing.T) {
	r := newRig(t)
	own := backendAddr("b1").Addr()
	s := with(onNodes("b1", "b2"), func(s *config.Service) { s.Via, s.Own = config.ModeGUE, own })
	r.resolver.sources = map[netip.Addr]netip.Addr{backendAddr("b2").Addr(): vip.Addr()}
	r.apply(s)
	want := loader.Nodes{Own: []netip.Addr{own}, Others: []netip.Addr{backendAddr("b2").Addr(), backendAddr("b9").Addr()}}
	if diff := cmp.Diff(want, r.dp.nodes, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	for _, m := range r.dp.members {
		if !m.Local && m.Source != netip.PrefixFrom(own, 32) {
			t.Errorf("packets to %v bear %v outside, want the address the others know", m.Addr, m.Source)
		}
	}
}

// TestOtherNodesTakenBack: a change that fails leaves the nodes as they were.
func TestOtherNodesTakenBack(t *testing.T) {
	r := newRig(t)
	r.apply(onNodes("b1", "b2"))
	before := r.dp.nodes
	r.dp.failing(func(call string) error {
		if strings.HasPrefix(call, "Publish") {
			return errInjected
		}
		return nil
	})
	if _, err := r.table.Apply(bg, settings(onNodes("b1", "b2"), at(onNodes("b1", "b3"), "two", "192.0.2.4:22"))); err == nil {
		t.Fatal("the change succeeded")
	}
	if diff := cmp.Diff(before, r.dp.nodes); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
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
