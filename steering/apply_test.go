package steering

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
	"sluice/loader"
)

func lines(changes []Change) []string {
	var list []string
	for _, c := range changes {
		list = append(list, c.String())
	}
	return list
}

func TestApplyTellsWhatChanged(t *testing.T) {
	r := newRig(t)
	dsr := func(s *config.Service) { s.Mode, s.ClientAddress = config.ModeDSR, "" }
	for _, step := range []struct {
		name     string
		services []config.Service
		want     []string
	}{
		{"first", []config.Service{serving("b1", "b2*2")}, []string{
			`service "ssh": added on 192.0.2.3:22`,
			`service "ssh": backend "b1": added, weight 1`,
			`service "ssh": backend "b2": added, weight 2`,
		}},
		{"again", []config.Service{serving("b1", "b2*2")}, nil},
		{"weight", []config.Service{serving("b1*3", "b2*2")}, []string{`service "ssh": backend "b1": weight 1 → 3`}},
		{"order", []config.Service{serving("b2*2", "b1*3")}, nil},
		{"backend", []config.Service{serving("b1*3", "b3")}, []string{
			`service "ssh": backend "b2": removed, its flows live on`,
			`service "ssh": backend "b3": added, weight 1`,
		}},
		{"client address", []config.Service{with(serving("b1*3", "b3"), func(s *config.Service) { s.ClientAddress = config.ClientKeep })},
			[]string{`service "ssh": client address or source pool changed, for new flows`}},
		{"mode", []config.Service{with(serving("b1*3", "b3"), dsr)}, []string{
			`service "ssh": added on 192.0.2.3:22`,
			`service "ssh": backend "b1": added, weight 3`,
			`service "ssh": backend "b3": added, weight 1`,
			`service "ssh": mode nat given up, its flows end`,
		}},
		{"nothing", nil, []string{
			`service "ssh": removed, its flows live on`,
			`service "ssh": backend "b1": removed, its flows live on`,
			`service "ssh": backend "b3": removed, its flows live on`,
		}},
	} {
		if diff := cmp.Diff(step.want, lines(r.apply(step.services...))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

func TestApplyAgainTouchesNothing(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.allUp()
	r.dp.fault = func(call string) error {
		switch call {
		case "MemberCounters ", "ServiceCounters ":
			return nil
		}
		t.Errorf("settings that are in force called %s", call)
		return nil
	}
	sets := r.dp.sets
	r.apply(serving("b1", "b2"))
	if r.dp.sets != sets {
		t.Error("settings that are in force stored ring entries")
	}
}

func TestEachRemovedBackendKeepsItsFlows(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.allUp()
	c1, c2 := r.flowTo(vip, "b1"), r.flowTo(vip, "b2")
	r.apply(serving("b2"))
	r.wantTakers(vip, "b2")
	r.wantState("b1", StateRemoved)
	r.run(time.Hour)
	r.lives(c1, vip, "b1")
	r.lives(c2, vip, "b2")
}

func TestRemovedServiceKeepsItsFlowsAndGetsNone(t *testing.T) {
	r := newRig(t)
	other := at(serving("b2"), "other", "192.0.2.4:22")
	r.apply(serving("b1"), other)
	r.allUp()
	client := r.flowTo(vip, "b1")
	r.apply(other)
	r.run(time.Hour)
	r.lives(client, vip, "b1")
	if backend, ok := r.dp.open(r.client(), vip); ok {
		t.Errorf("a service that was removed took a flow to %v", backend)
	}
	if !r.dp.services[1].Removed {
		t.Error("its record is not marked")
	}
	r.apply(serving("b1"), other)
	r.lives(client, vip, "b1")
	r.allUp()
	r.wantTakers(vip, "b1")
	if r.dp.services[1].Removed {
		t.Error("its record is still marked")
	}
}

// A change of mode is one store: there is always one service with the address,
// and the flows of the old mode, which no packet reaches any more, end.
func TestModeChange(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	r.allUp()
	r.flowTo(vip, "b1")
	old := r.dp.published[vip]
	r.dp.meanwhile = func() {
		if r.dp.published[vip] == 0 {
			t.Error("the address leads nowhere for a moment")
		}
	}
	r.apply(with(serving("b1"), func(s *config.Service) { s.Mode = config.ModeDSR }))
	r.dp.meanwhile = nil
	r.allUp()
	now := r.dp.published[vip]
	if now == old || r.dp.services[now].Mode != loader.ModeDSR {
		t.Errorf("the address leads to %d, %+v", now, r.dp.services[now])
	}
	r.flowTo(vip, "b1")
	r.run(10 * time.Minute)
	if s, there := r.dp.services[old]; there {
		t.Errorf("the old service is still there: %+v", s)
	}
	if r.dp.published[vip] != now {
		t.Error("the address went with the old service")
	}
}

func TestSourcePoolDefaultsToTheVIP(t *testing.T) {
	pool := addrPort("10.0.2.3:0").Addr()
	for name, tt := range map[string]struct {
		edit func(*config.Service)
		want loader.Service
	}{
		"default": {func(*config.Service) {}, loader.Service{Mode: loader.ModeNAT}},
		"keep":    {func(s *config.Service) { s.ClientAddress = config.ClientKeep }, loader.Service{Mode: loader.ModeNAT, KeepClient: true}},
		"dsr":     {func(s *config.Service) { s.Mode = config.ModeDSR }, loader.Service{Mode: loader.ModeDSR}},
		"sshd":    {func(s *config.Service) { s.Mode = config.ModeSSHD }, loader.Service{Mode: loader.ModeSSHD}},
		"pool":    {func(s *config.Service) { s.SourcePool = append(s.SourcePool, pool) }, loader.Service{Mode: loader.ModeNAT}},
	} {
		cfg := with(serving("b1"), tt.edit)
		tt.want.Listen = vip
		if name == "default" {
			tt.want.Pool = append(tt.want.Pool, vip.Addr())
		}
		if name == "pool" {
			tt.want.Pool = append(tt.want.Pool, pool)
		}
		if got := recordOf(cfg); !sameRecord(got, tt.want) {
			t.Errorf("%s: record is %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestBackendThatIsThisNodeIsRefused(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	r.allUp()
	r.resolver.local = backendAddr("b3").Addr()
	_, err := r.table.Apply(context.Background(), settings(serving("b1", "b2", "b3")))
	if err == nil || err.Error() != `apply settings: service "ssh": backend "b3": resolve next hop of 10.0.0.3: it is an address of this node` {
		t.Errorf("error is %v", err)
	}
	r.wantTakers(vip, "b1")
	if len(r.dp.members) != 1 || len(r.resolver.acquired) != 1 {
		t.Errorf("members %v and next hops of %v are left", r.dp.members, r.resolver.acquired)
	}
}

func TestApplyStopsWithItsContext(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.table.Apply(ctx, settings(serving("b1"))); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if len(r.dp.services) != 0 {
		t.Error("it did something all the same")
	}
}

func TestNextHopMoves(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"), at(serving("b1", "b2"), "two", "192.0.2.4:22"))
	b1 := backendAddr("b1")
	hop := r.resolver.hop()
	if err := r.table.Moved(b1.Addr(), hop); err != nil {
		t.Fatal(err)
	}
	for id, m := range r.dp.members {
		if (m.Addr == b1) != (m.NextHop == hop) {
			t.Errorf("member %d is %+v after b1 moved to %d", id, m, hop)
		}
	}
	r.apply(serving("b1"))
	for id, m := range r.dp.members {
		if m.Addr == b1 && m.NextHop != hop {
			t.Errorf("member %d is %+v: settings took it back", id, m)
		}
	}
}
