package steering

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/loader"
)

// ticks moves the clock by d with the drain loop at work each second.
func (r *rig) ticks(d time.Duration) {
	r.Helper()
	for ; d > 0; d -= drainPeriod {
		r.clock.advance(drainPeriod)
		if err := r.drainer.tick(); err != nil {
			r.Fatal(err)
		}
		select {
		case <-r.table.wake:
			r.table.pass(bg)
		default:
		}
	}
}

func TestDrainEndsWithTheLastFlow(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.allUp()
	client := r.flowTo(vip, "b1")
	r.drain(named("b1"), DrainOptions{})
	r.wantTakers(vip, "b2")
	for k := range r.dp.flows {
		if k.client != client {
			r.dp.fin(k.client, vip)
		}
	}
	r.ticks(time.Hour)
	r.wantState("b1", StateDraining)
	r.lives(client, vip, "b1")
	if got := r.backend("b1").Drain; got == nil || got.Flows != 1 || got.Silent != 0 {
		t.Errorf("drain is %+v, want one flow left", got)
	}
	r.dp.fin(client, vip)
	r.ticks(drainPeriod)
	r.wantState("b1", StateDraining)
	r.ticks(drainPeriod)
	r.wantState("b1", StateDisabled)
	if got := r.backend("b1"); got.Drain != nil || !got.Since.Equal(r.clock.now()) {
		t.Errorf("backend is %+v", got)
	}
	if len(r.checker.running()) != 1 {
		t.Errorf("checks %v run", r.checker.running())
	}
}

// A handshake that is under way when the drain begins becomes a flow that the
// drain waits for.
func TestDrainWaitsForHandshakesUnderWay(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.allUp()
	for {
		client := r.client()
		if backend, _ := r.dp.syn(client, vip); backend == backendAddr("b1") {
			r.drain(named("b1"), DrainOptions{})
			r.ticks(drainPeriod)
			if !r.dp.ack(client, vip) {
				t.Fatal("the handshake could not be completed")
			}
			r.ticks(time.Minute)
			r.wantState("b1", StateDraining)
			r.lives(client, vip, "b1")
			return
		}
	}
}

func TestDrainEndsAtItsDeadline(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.allUp()
	c1, c2 := r.flowTo(vip, "b1"), r.flowTo(vip, "b2")
	r.drain(named("b1"), DrainOptions{Deadline: 5 * time.Minute})
	r.ticks(5*time.Minute - time.Second)
	r.lives(c1, vip, "b1")
	r.wantState("b1", StateDraining)
	r.ticks(4 * time.Second)
	r.wantState("b1", StateDisabled)
	if backend, ok := r.dp.data(c1, vip); ok {
		t.Errorf("past the deadline a packet reached %v", backend)
	}
	r.lives(c2, vip, "b2")
}

func TestDeadlinePassesWhileTheNodeIsDown(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.allUp()
	client := r.flowTo(vip, "b1")
	r.drain(named("b1"), DrainOptions{Deadline: time.Minute})
	r.clock.advance(time.Hour)
	r.lives(client, vip, "b1")
	r.restart()
	r.apply(serving("b1", "b2"))
	r.ticks(5 * time.Second)
	r.wantState("b1", StateDisabled)
	if _, ok := r.dp.data(client, vip); ok {
		t.Error("the flow lives on")
	}
}

func TestDrainOptionsReplaceEarlierOnes(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.allUp()
	client := r.flowTo(vip, "b1")
	r.drain(named("b1"), DrainOptions{Deadline: time.Minute})
	since := r.backend("b1").Since
	r.ticks(30 * time.Second)
	r.drain(named("b1"), DrainOptions{})
	r.ticks(10 * time.Minute)
	r.lives(client, vip, "b1")
	if got := r.backend("b1"); got.State != StateDraining || !got.Since.Equal(since) {
		t.Errorf("backend is %s since %v, want draining since %v", got.State, got.Since, since)
	}
}

func TestSilentFlowsAreShownAndMayCountAsDone(t *testing.T) {
	r := newRig(t)
	r.apply(with(serving("b1", "b2"), func(s *config.Service) { s.Mode, s.ClientAddress = config.ModeDSR, "" }))
	r.allUp()
	silent := r.flowTo(vip, "b1")
	talking := r.flowTo(vip, "b1")
	for k, f := range r.dp.flows {
		if k.client != silent && k.client != talking && f.backend == backendAddr("b1") {
			r.dp.fin(k.client, vip)
		}
	}
	r.drain(named("b1"), DrainOptions{IdleDone: 10 * time.Minute})
	for range 20 {
		r.dp.data(talking, vip)
		r.ticks(time.Minute)
		r.table.pass(bg)
	}
	got := r.backend("b1")
	if got.State != StateDraining || !got.UpperBound || got.Drain.Flows != 2 || got.Drain.Silent != 1 {
		t.Errorf("backend is %+v with drain %+v", got, got.Drain)
	}
	r.clock.advance(11 * time.Minute)
	r.table.pass(bg)
	r.ticks(3 * time.Second)
	r.wantState("b1", StateDisabled)
	if f := r.dp.flows[flowKey{silent, r.dp.published[vip]}]; f.state != loader.FlowEstablished {
		t.Errorf("the silent flow is in state %d, it was to be left alone", f.state)
	}
}

// What was silent before the drain began is known only after a sweep of its own.
func TestIdleDoneNeedsASweepSinceTheOrder(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.allUp()
	client := r.flowTo(vip, "b1")
	r.clock.advance(time.Hour)
	r.table.pass(bg)
	r.dp.data(client, vip)
	r.drain(named("b1"), DrainOptions{IdleDone: time.Minute})
	<-r.table.wake // the settings asked for a sweep; this one is about none
	r.ticks(10 * time.Second)
	r.wantState("b1", StateDraining)
}

func TestDrainLooksTwiceAMomentApart(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.allUp()
	r.drain(named("b1"), DrainOptions{})
	for range 3 {
		if err := r.drainer.tick(); err != nil {
			t.Fatal(err)
		}
	}
	r.wantState("b1", StateDraining)
	r.ticks(drainPeriod)
	r.wantState("b1", StateDisabled)
}

func TestEnableEndsADrain(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.allUp()
	client := r.flowTo(vip, "b1")
	r.drain(named("b1"), DrainOptions{Deadline: time.Minute})
	if _, err := r.table.Enable(bg, named("b1")); err != nil {
		t.Fatal(err)
	}
	r.wantTakers(vip, "b1", "b2")
	r.ticks(time.Hour)
	r.lives(client, vip, "b1")
	r.wantState("b1", StateUp)
}

// The operator may speak between the moment a drain is seen to be over and the
// moment that is acted on.
func TestDrainThatWasTakenBackDoesNotDisable(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.allUp()
	r.drain(named("b1"), DrainOptions{})
	seen := r.table.model.Load()
	r.clock.advance(time.Second)
	for i, order := range []func(){
		func() { _, _ = r.table.Enable(bg, named("b1")) },
		func() { r.drain(named("b1"), DrainOptions{}) },
	} {
		order()
		if err := r.table.endDrains(seen, []netip.AddrPort{backendAddr("b1"), backendAddr("b9")}); err != nil {
			t.Fatal(err)
		}
		if got := r.backend("b1").State; got == StateDisabled {
			t.Errorf("order %d: it was disabled all the same", i)
		}
	}
}

func TestDrainOfARemovedBackendEndsItsFlows(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.allUp()
	client := r.flowTo(vip, "b1")
	r.apply(serving("b2"))
	r.drain(named("b1"), DrainOptions{Deadline: time.Minute})
	r.ticks(time.Minute + 3*time.Second)
	if _, ok := r.dp.data(client, vip); ok {
		t.Error("the flow lives on")
	}
	r.settledFor(time.Hour)
	if slices.ContainsFunc(r.status().Backends, func(b BackendStatus) bool { return b.Name == "b1" }) {
		t.Error("the backend is still there")
	}
}
