package steering

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/loader"
)

func (r *rig) explain(client, listen netip.AddrPort) Explanation {
	r.Helper()
	e, err := r.table.Explain(bg, client, listen)
	if err != nil {
		r.Fatal(err)
	}
	return e
}

func TestExplainAgreesWithTheDataplane(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2*2", "b3*5"))
	r.allUp()
	for range 50 {
		client := r.client()
		e := r.explain(client, vip)
		if e.Verdict != VerdictForward || e.Known != nil || e.Service != "ssh" || e.Mode != loader.ModeNAT {
			t.Fatalf("explanation is %+v", e)
		}
		if backend, _ := r.dp.open(client, vip); backend != e.BackendAddr || e.Backend != nameOf(backend) {
			t.Errorf("a flow of %v went to %v, explained as %v", client, backend, e.BackendAddr)
		}
	}
}

func TestExplainIsWithoutSideEffects(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	r.allUp()
	counts, flows, sets := r.dp.memberCounts[1], len(r.dp.flows), r.dp.sets
	r.explain(r.client(), vip)
	if r.dp.memberCounts[1] != counts || len(r.dp.flows) != flows || r.dp.sets != sets || len(r.dp.embryos) != 0 {
		t.Error("the question changed something")
	}
}

func TestExplainKnownFlow(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.allUp()
	client := r.flowTo(vip, "b1")
	r.drain(named("b1"), DrainOptions{})
	r.clock.advance(time.Minute)
	e := r.explain(client, vip)
	if e.Known == nil || e.BackendAddr != backendAddr("b1") || e.BackendState != StateDraining || e.Verdict != VerdictForward {
		t.Errorf("explanation is %+v", e)
	}
	text := strings.Join(e.Steps, "\n")
	for _, part := range []string{"in mode nat", "established for 1m0s", `backend "b1" at 10.0.0.1:22, which is draining`, "next hop"} {
		if !strings.Contains(text, part) {
			t.Errorf("steps lack %q:\n%s", part, text)
		}
	}
}

func TestExplainGuessesListen(t *testing.T) {
	r := newRig(t)
	two := addrPort("192.0.2.4:22")
	r.apply(serving("b1"))
	r.allUp()
	var none netip.AddrPort
	if e := r.explain(r.client(), none); e.Listen != vip {
		t.Errorf("the only service is at %v, explained %v", vip, e.Listen)
	}
	r.apply(serving("b1"), at(serving("b1"), "two", two.String()))
	client, _ := r.flow(two)
	r.clock.advance(time.Minute)
	if e := r.explain(client, none); e.Listen != two || e.Known == nil {
		t.Errorf("explanation is %+v", e)
	}
	if _, err := r.table.Explain(bg, r.client(), none); !errors.Is(err, ErrNeedListen) {
		t.Errorf("error is %v", err)
	}
	if _, err := r.table.Explain(bg, r.client(), addrPort("192.0.2.99:22")); !errors.Is(err, ErrUnknown) {
		t.Errorf("error is %v", err)
	}
	for _, call := range []string{"Find 1", "NextHops "} {
		r.dp.fault = func(c string) error {
			if c == call {
				return errInjected
			}
			return nil
		}
		if _, err := r.table.Explain(bg, r.client(), vip); !errors.Is(err, errInjected) {
			t.Errorf("%s failed, error is %v", call, err)
		}
	}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if _, err := r.table.Explain(ctx, r.client(), vip); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func TestExplainDropsAndPasses(t *testing.T) {
	r := newRig(t)
	login := addrPort("192.0.2.9:22")
	r.apply(serving("b1"), config.Service{Name: "login", Listen: login, Mode: config.ModeSSHD})
	if e := r.explain(r.client(), login); e.Verdict != VerdictPass || e.Reason != "" {
		t.Errorf("mode sshd: %+v", e)
	}
	if e := r.explain(r.client(), vip); e.Verdict != VerdictDrop || e.Reason != "no_backend" || e.Backend != "" {
		t.Errorf("nobody up: %+v", e)
	}
	r.allUp()
	client, _ := r.flow(vip)
	hop := r.dp.members[1].NextHop
	r.dp.hops[hop] = loader.NextHop{}
	if e := r.explain(client, vip); e.Verdict != VerdictDrop || e.Reason != "no_next_hop" || e.Backend != "b1" {
		t.Errorf("no next hop: %+v", e)
	}
	for _, f := range r.dp.flows {
		f.state = loader.FlowKilled
	}
	if e := r.explain(client, vip); e.Verdict != VerdictDrop || e.Reason != "killed" {
		t.Errorf("killed: %+v", e)
	}
	r.resolver.ready(hop)
	for _, f := range r.dp.flows {
		f.state = loader.FlowClosed
	}
	if e := r.explain(client, vip); e.Verdict != VerdictForward || e.Known != nil {
		t.Errorf("closed: %+v", e)
	}
}

func TestExplainOfWhatLeftTheModel(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	r.allUp()
	stray := r.client()
	id := r.dp.published[vip]
	r.dp.flows[flowKey{stray, id}] = &fakeFlow{member: 77, state: loader.FlowEstablished, seen: r.clock.monotonic()}
	if e := r.explain(stray, vip); e.Verdict != VerdictDrop || e.Reason != "internal" {
		t.Errorf("explanation is %+v", e)
	}
}

func TestNames(t *testing.T) {
	for want, got := range map[string]string{
		"nat":                       modeName(loader.Service{Mode: loader.ModeNAT}),
		"dsr":                       modeName(loader.Service{Mode: loader.ModeDSR}),
		"sshd":                      modeName(loader.Service{Mode: loader.ModeSSHD}),
		"sshd, by dsr to its nodes": modeName(loader.Service{Mode: loader.ModeDSR, Nodes: true}),
		"mode 9":                    modeName(loader.Service{Mode: 9}),
		"young":                     stateName(loader.FlowYoung), "half-closed": stateName(loader.FlowHalfClosed), "closed": stateName(loader.FlowClosed),
		"state 0": stateName(0), "state 9": stateName(9),
	} {
		if got != want {
			t.Errorf("name is %q, want %q", got, want)
		}
	}
}
