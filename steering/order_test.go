package steering

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/config"
	"sluice/steering/ring"
)

var bg = context.Background()

func (r *rig) drain(s Selection, o DrainOptions) []BackendChange {
	r.Helper()
	changes, err := r.table.Drain(bg, s, o)
	if err != nil {
		r.Fatal(err)
	}
	return changes
}

func TestOrdersAndWhatTheyTell(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2*2"), at(serving("b1"), "two", "192.0.2.4:22"))
	r.allUp()
	r.flowTo(vip, "b1")
	flows := r.backend("b1").FlowsNow
	both := []string{"ssh", "two"}
	for _, step := range []struct {
		name string
		do   func() ([]BackendChange, error)
		want BackendChange
	}{
		{"drain", func() ([]BackendChange, error) { return r.table.Drain(bg, named("b1"), DrainOptions{Yes: true}) },
			BackendChange{Services: both, StateWas: StateUp, State: StateDraining, WeightWas: 1, Weight: 1}},
		{"drain again", func() ([]BackendChange, error) {
			return r.table.Drain(bg, named("10.0.0.1:22"), DrainOptions{Yes: true})
		},
			BackendChange{Services: both, StateWas: StateDraining, State: StateDraining, WeightWas: 1, Weight: 1}},
		{"disable", func() ([]BackendChange, error) { return r.table.Disable(bg, named("b1"), true) },
			BackendChange{Services: both, StateWas: StateDraining, State: StateDisabled, WeightWas: 1, Weight: 1}},
		{"enable", func() ([]BackendChange, error) { return r.table.Enable(bg, named("b1")) },
			BackendChange{Services: both, StateWas: StateDisabled, State: StateDown, WeightWas: 1, Weight: 1}},
		{"weight", func() ([]BackendChange, error) { return r.table.SetWeight(bg, named("b1"), 9, true) },
			BackendChange{Services: both, StateWas: StateDown, State: StateDown, WeightWas: 1, Weight: 9}},
	} {
		got, err := step.do()
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		step.want.Name, step.want.Addr, step.want.FlowsNow = "b1", backendAddr("b1"), flows
		if diff := cmp.Diff([]BackendChange{step.want}, got, cmpopts.EquateComparable(step.want.Addr)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

func TestOneStateForAllServices(t *testing.T) {
	r := newRig(t)
	two := addrPort("192.0.2.4:22")
	r.apply(serving("b1", "b2"), at(serving("b1", "b3"), "two", two.String()))
	r.allUp()
	r.drain(Selection{Backends: []string{"b1"}, Service: "two"}, DrainOptions{})
	r.wantTakers(vip, "b2")
	r.wantTakers(two, "b3")
	if _, err := r.table.Enable(bg, named("b1")); err != nil {
		t.Fatal(err)
	}
	r.wantTakers(vip, "b1", "b2")
	r.wantTakers(two, "b1", "b3")
}

func TestSelection(t *testing.T) {
	r := newRig(t)
	twin := serving("b4")
	twin.Backends[0].Name = "b3"
	r.apply(serving("b1", "b2", "b3"), at(twin, "two", "192.0.2.4:22"))
	for _, tt := range []struct {
		s    Selection
		want []string
		err  error
		text string
	}{
		{s: named("b1", "10.0.0.2:22", "b1"), want: []string{"b1", "b2"}},
		{s: Selection{All: true}, want: []string{"b1", "b2", "b3", "b4"}},
		{s: Selection{All: true, Service: "two"}, want: []string{"b4"}},
		{s: Selection{Backends: []string{"b1"}, Service: "ssh"}, want: []string{"b1"}},
		{s: named("b9"), err: ErrUnknown, text: `enable: backend "b9": not known; see show backends`},
		{s: Selection{All: true, Service: "no"}, err: ErrUnknown, text: `enable: service "no": not known; see show services`},
		{s: Selection{Backends: []string{"b1"}, Service: "two"}, err: ErrUnknown,
			text: `enable: backend "b1": not known to service "two"; leave the service out or name one of b3`},
		{s: named("b3"), text: `enable: backend "b3": 2 addresses have this name; give addr:port`},
	} {
		changes, err := r.table.Enable(bg, tt.s)
		if tt.text != "" {
			if err == nil || err.Error() != tt.text || tt.err != nil && !errors.Is(err, tt.err) {
				t.Errorf("%+v: error is %v, want %s", tt.s, err, tt.text)
			}
			continue
		}
		var got []string
		for _, c := range changes {
			got = append(got, nameOf(c.Addr))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%+v: %v, selected (-want +got):\n%s", tt.s, err, diff)
		}
	}
}

func TestOrdersBeforeSettings(t *testing.T) {
	r := newRig(t)
	if _, err := r.table.Drain(bg, Selection{All: true}, DrainOptions{}); !errors.Is(err, ErrNotReady) {
		t.Errorf("error is %v", err)
	}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if _, err := r.table.Enable(ctx, Selection{All: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}

func TestLastBackendAsks(t *testing.T) {
	orders := map[string]func(r *rig, name string, yes bool) error{
		"drain": func(r *rig, name string, yes bool) error {
			_, err := r.table.Drain(bg, named(name), DrainOptions{Yes: yes})
			return err
		},
		"disable": func(r *rig, name string, yes bool) error {
			_, err := r.table.Disable(bg, named(name), yes)
			return err
		},
		"weight": func(r *rig, name string, yes bool) error {
			_, err := r.table.SetWeight(bg, named(name), 0, yes)
			return err
		},
	}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.apply(serving("b1", "b2", "b3*0"), at(serving("b1"), "two", "192.0.2.4:22"))
			r.allUp()
			r.down("b2")
			if err := order(r, "b3", false); err != nil {
				t.Errorf("one that takes nothing: %v", err)
			}
			err := order(r, "b1", false)
			want := name + `: no backend would be up for service "ssh", "two"; say yes to do it all the same`
			if !errors.Is(err, ErrLastBackend) || err.Error() != want {
				t.Errorf("error is %v, want %s", err, want)
			}
			r.wantTakers(vip, "b1")
			r.wantState("b1", StateUp)
			if err := order(r, "b1", true); err != nil {
				t.Errorf("with yes: %v", err)
			}
			r.wantTakers(vip)
			if err := order(r, "b2", false); err != nil {
				t.Errorf("with nothing left to lose: %v", err)
			}
		})
	}
}

func TestOrdersHoldOverRestarts(t *testing.T) {
	r := newRig(t)
	all := serving("b1", "b2", "b3", "b4")
	r.apply(all)
	r.allUp()
	r.flowTo(vip, "b1")
	r.drain(named("b1"), DrainOptions{Deadline: time.Hour, IdleDone: 5 * time.Minute})
	if _, err := r.table.Disable(bg, named("b2"), false); err != nil {
		t.Fatal(err)
	}
	if _, err := r.table.SetWeight(bg, named("b3"), 7, false); err != nil {
		t.Fatal(err)
	}
	before := r.backend("b1")
	r.clock.advance(time.Minute)
	r.restart()
	r.apply(all)
	r.wantTakers(vip, "b3", "b4")
	r.wantState("b2", StateDisabled)
	if got := r.backend("b3").Weight; got != 7 {
		t.Errorf("weight of b3 is %d", got)
	}
	after := r.backend("b1")
	if !after.Since.Equal(before.Since) || !after.Drain.Deadline.Equal(before.Drain.Deadline) || after.Drain.IdleDone != before.Drain.IdleDone {
		t.Errorf("drain is %+v, was %+v", after.Drain, before.Drain)
	}
}

func TestOrdersHoldWhileAServiceIsAway(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	if _, err := r.table.Disable(bg, named("b1"), true); err != nil {
		t.Fatal(err)
	}
	r.apply(serving("b2"))
	r.apply(serving("b1", "b2"))
	r.wantState("b1", StateDisabled)
	// With the object go the orders about it.
	r.apply(serving("b2"))
	r.settledFor(embryo)
	r.apply(serving("b1", "b2"))
	r.wantState("b1", StateDown)
}

func TestOperatorsWeightHoldsUntilSettingsSayAnother(t *testing.T) {
	r := newRig(t)
	two := at(serving("b1*5"), "two", "192.0.2.4:22")
	weights := func() (list []int) {
		for _, s := range r.status().Services {
			list = append(list, s.Members[0].Weight)
		}
		return list
	}
	weigh := func(s Selection, weight int) {
		t.Helper()
		if _, err := r.table.SetWeight(bg, s, weight, true); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		name string
		do   func()
		want []int
	}{
		{"settings", func() { r.apply(serving("b1*2"), two) }, []int{2, 5}},
		{"operator", func() { weigh(named("b1"), 8) }, []int{8, 8}},
		{"same settings", func() { r.apply(serving("b1*2"), two) }, []int{8, 8}},
		{"restart", func() { r.restart(); r.apply(serving("b1*2"), two) }, []int{8, 8}},
		{"settings change one", func() { r.apply(serving("b1*3"), two) }, []int{3, 8}},
		{"and back", func() { r.apply(serving("b1*2"), two) }, []int{2, 8}},
		{"one service", func() { weigh(Selection{Backends: []string{"b1"}, Service: "ssh"}, 4) }, []int{4, 8}},
		{"as in the settings", func() { weigh(named("b1"), 5) }, []int{5, 5}},
		{"which then count", func() { r.apply(serving("b1*2"), at(serving("b1*6"), "two", "192.0.2.4:22")) }, []int{5, 6}},
	} {
		step.do()
		if diff := cmp.Diff(step.want, weights()); diff != "" {
			t.Errorf("%s: weights (-want +got):\n%s", step.name, diff)
		}
	}
}

func TestWeightsShareTheRing(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2*2", "b3*5"))
	r.allUp()
	held := map[string]float64{}
	for id, n := range r.dp.rings[r.dp.published[vip]].named() {
		held[nameOf(r.dp.members[id].Addr)] = float64(n)
	}
	for _, m := range r.status().Services[0].Members {
		if got := held[m.Name] / ring.Entries; got < m.Share-0.01 || got > m.Share+0.01 {
			t.Errorf("%s holds %.3f of the ring, weight %d is a share of %.3f", m.Name, got, m.Weight, m.Share)
		}
	}
}

func TestLastResortDraining(t *testing.T) {
	r := newRig(t)
	r.apply(with(serving("b1", "b2", "b3"), func(s *config.Service) { s.LastResort = config.LastResortDraining }))
	r.allUp()
	r.flowTo(vip, "b1")
	r.flowTo(vip, "b2")
	r.flowTo(vip, "b3")
	r.drain(named("b1", "b2"), DrainOptions{})
	r.wantTakers(vip, "b3")
	r.down("b3")
	r.wantTakers(vip, "b1", "b2")
	r.down("b1")
	r.wantTakers(vip, "b2")
	r.up("b3")
	r.wantTakers(vip, "b3")
}
