package steering

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"sluice/loader"
)

func (r *rig) alarms(subject string) []Alarm {
	r.Helper()
	var list []Alarm
	for _, a := range r.status().Alarms {
		if a.Subject == subject {
			list = append(list, a)
		}
	}
	return list
}

func (r *rig) sweep() {
	r.Helper()
	if _, err := r.table.sweep(context.Background(), 0); err != nil {
		r.Fatal(err)
	}
	r.clock.advance(time.Second)
}

func TestDriftOfCountersIsAlarmed(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	r.allUp()
	r.flow(vip)
	miscount := func(n uint64) {
		c := r.dp.memberCounts[1]
		c.FlowsOpened += n
		r.dp.memberCounts[1] = c
	}
	r.sweep()
	miscount(1)
	r.sweep()
	if got := r.alarms("counters"); len(got) != 0 {
		t.Errorf("alarm after one sweep: %+v", got)
	}
	r.sweep()
	got := r.alarms("counters")
	if len(got) != 1 || got[0].Text != "counters say 2 flows of 10.0.0.1:22 live, the flow table holds 1 to 1" {
		t.Errorf("alarms are %+v", got)
	}
	c := r.dp.memberCounts[1]
	c.FlowsClosed++
	r.dp.memberCounts[1] = c
	r.sweep()
	if got := r.alarms("counters"); len(got) != 0 {
		t.Errorf("alarm stays after they agree: %+v", got)
	}
}

func TestDriftToleratesHalfClosedAndClosed(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	r.allUp()
	for range 3 {
		r.flow(vip)
	}
	for k, f := range r.dp.flows {
		f.state = loader.FlowHalfClosed
		r.dp.countClosed(f)
		r.dp.flows[k] = f
		break
	}
	r.dp.fin(r.clientOf(loader.FlowEstablished), vip)
	for range 3 {
		r.sweep()
	}
	if got := r.alarms("counters"); len(got) != 0 {
		t.Errorf("alarms are %+v", got)
	}
}

func TestSweepThatFailsIsAlarmedUntilOneSucceeds(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	for _, call := range []string{"Expire ", "Scan "} {
		r.dp.fault = func(c string) error {
			if c == call {
				return errInjected
			}
			return nil
		}
		r.clock.advance(time.Second)
		r.table.pass(context.Background())
		r.dp.fault = nil
		if got := r.alarms("flow table"); len(got) != 1 {
			t.Errorf("%s failed, alarms are %+v", call, got)
		}
		r.table.pass(context.Background())
		if got := r.alarms("flow table"); len(got) != 0 {
			t.Errorf("alarms after a good sweep are %+v", got)
		}
	}
}

func TestCheckpointOutlivesTheMaps(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	r.allUp()
	r.flow(vip)
	if err := r.table.checkpoint(); err != nil {
		t.Fatal(err)
	}
	want := r.backend("b1").Counters
	// A real stop and a new start: the maps are made anew.
	fresh := newFakeDataplane(r.clock)
	r.dp.mu.Lock()
	r.dp.services, r.dp.members, r.dp.published, r.dp.rings = fresh.services, fresh.members, fresh.published, fresh.rings
	r.dp.memberCounts, r.dp.serviceCounts, r.dp.flows = fresh.memberCounts, fresh.serviceCounts, fresh.flows
	r.dp.mu.Unlock()
	r.restart()
	r.apply(serving("b1"))
	if got := r.backend("b1"); got.Counters != want || got.FlowsNow != 0 {
		t.Errorf("counters are %+v with %d flows, were %+v", got.Counters, got.FlowsNow, want)
	}
	r.allUp()
	r.flow(vip)
	if got := r.backend("b1").Counters; got.FlowsOpened != want.FlowsOpened+1 {
		t.Errorf("%d flows opened, want %d", got.FlowsOpened, want.FlowsOpened+1)
	}
	if got := r.status().Services[0].Counters.SYNs; got != 2 {
		t.Errorf("the service shows %d SYNs, want 2", got)
	}
}

// New maps whose counters have outrun the old base are told from the old ones
// only as long as they are behind it.
func TestCountersBelowTheirBaseMeanNewMaps(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	r.allUp()
	for range 5 {
		r.flow(vip)
	}
	if err := r.table.checkpoint(); err != nil {
		t.Fatal(err)
	}
	r.dp.memberCounts[1] = loader.MemberCounters{PacketsIn: 1, FlowsOpened: 1}
	clear(r.dp.flows)
	r.restart()
	r.apply(serving("b1"))
	if got := r.backend("b1").Counters.FlowsOpened; got != 6 {
		t.Errorf("%d flows opened, want the 5 of the old maps and the one of the new", got)
	}
}

// clientOf returns the client of a flow in the state.
func (r *rig) clientOf(state loader.FlowState) (found netip.AddrPort) {
	for k, f := range r.dp.flows {
		if f.state == state {
			return k.client
		}
	}
	r.Fatalf("no flow in state %d", state)
	return found
}
