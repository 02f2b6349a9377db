package steering

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/config"
)

func TestOnlyUpBackendsGetFlows(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.wantTakers(vip)
	r.wantState("b1", StateDown)
	if got := r.backend("b1"); got.Reason != "not checked yet" || got.Health != HealthUnknown {
		t.Errorf("backend is %+v", got)
	}
	r.up("b1")
	r.wantTakers(vip, "b1")
	r.up("b2")
	r.wantTakers(vip, "b1", "b2")
	client := r.flowTo(vip, "b1")
	r.down("b1")
	r.wantTakers(vip, "b2")
	if got := r.backend("b1"); got.State != StateDown || got.Reason != "connection refused" || got.Health != HealthFailing {
		t.Errorf("backend is %+v", got)
	}
	r.run(time.Minute)
	r.lives(client, vip, "b1")
	r.down("b2")
	r.wantTakers(vip)
	if _, ok := r.dp.open(r.client(), vip); ok {
		t.Error("a flow was taken with no backend up")
	}
	r.up("b1")
	r.wantTakers(vip, "b1")
	r.lives(client, vip, "b1")
}

func TestChecksThatRun(t *testing.T) {
	r := newRig(t)
	tcp := func(s *config.Service) { s.HealthCheck.Type = config.HealthCheckTCP }
	off := func(s *config.Service) { s.HealthCheck.Type = config.HealthCheckOff }
	ssh := serving("b1", "b2")
	r.apply(
		ssh,
		with(at(serving("b2", "b3"), "tcp", "192.0.2.4:22"), tcp),
		with(at(serving("b1", "b4"), "dsr", "192.0.2.5:2022"), dsr),
		with(at(serving("b1"), "dsr6", "[2001:db8::3]:22"), dsr),
		with(at(serving("b5"), "off", "192.0.2.6:22"), off),
	)
	if _, err := r.table.Disable(bg, named("b3"), true); err != nil {
		t.Fatal(err)
	}
	members := map[CheckID]string{}
	for addr, id := range r.dp.checks {
		m := r.dp.members[id]
		members[CheckID{Backend: m.Addr, Service: r.dp.services[m.Service].Listen}] = addr.String()
	}
	b := func(name, service string) CheckID {
		id := CheckID{Backend: backendAddr(name)}
		if service != "" {
			id.Service = addrPort(service)
		}
		return id
	}
	tcpCheck := ssh.HealthCheck
	tcpCheck.Type = config.HealthCheckTCP
	want := map[CheckID]Check{}
	for id, dial := range map[CheckID]string{
		b("b1", ""): "10.0.0.1:22", b("b2", ""): "10.0.0.2:22",
		b("b1", "192.0.2.5:2022"):   members[b("b1", "192.0.2.5:2022")] + ":2022",
		b("b4", "192.0.2.5:2022"):   members[b("b4", "192.0.2.5:2022")] + ":2022",
		b("b1", "[2001:db8::3]:22"): "[" + members[b("b1", "[2001:db8::3]:22")] + "]:22",
	} {
		want[id] = Check{CheckID: id, Dial: addrPort(dial), Settings: ssh.HealthCheck}
	}
	if diff := cmp.Diff(want, r.checker.checks, cmpopts.EquateComparable(CheckID{}, Check{})); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
	for id, addr := range members {
		if want := map[bool]string{true: "169.254.64.", false: "fd73:6c75:6963:6500::"}[id.Service.Addr().Is4()]; addr[:len(want)] != want {
			t.Errorf("%v is checked at %s, want %s…", id, addr, want)
		}
	}
}

// One check serves all services; the first that has one says how.
func TestSharedCheckTakesTheFirstSettings(t *testing.T) {
	r := newRig(t)
	off := with(serving("b1"), func(s *config.Service) { s.HealthCheck.Type = config.HealthCheckOff })
	slow := with(at(serving("b1"), "slow", "192.0.2.4:22"), func(s *config.Service) { s.HealthCheck.Interval = time.Minute })
	fast := at(serving("b1"), "fast", "192.0.2.5:22")
	r.apply(off, slow, fast)
	if got := r.checker.checks[CheckID{Backend: backendAddr("b1")}].Settings.Interval; got != time.Minute {
		t.Errorf("interval is %v", got)
	}
	r.wantTakers(vip, "b1")
	r.wantTakers(addrPort("192.0.2.4:22"))
	r.wantState("b1", StateUp)
	r.up("b1")
	r.wantTakers(addrPort("192.0.2.5:22"), "b1")
	r.down("b1")
	r.wantTakers(vip, "b1")
	r.wantTakers(addrPort("192.0.2.4:22"))
}

func TestDSRChecksDecideForTheirServiceOnly(t *testing.T) {
	r := newRig(t)
	two := addrPort("192.0.2.4:22")
	r.apply(with(serving("b1"), dsr), with(at(serving("b1"), "two", two.String()), dsr))
	r.results(CheckResult{CheckID: CheckID{Backend: backendAddr("b1"), Service: two}, Up: true})
	r.wantTakers(vip)
	r.wantTakers(two, "b1")
	r.wantState("b1", StateUp)
	states := map[string]State{}
	for _, s := range r.status().Services {
		states[s.Name] = s.Members[0].State
	}
	if diff := cmp.Diff(map[string]State{"ssh": StateDown, "two": StateUp}, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

func TestCheckerHearsOnlyOfChanges(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.allUp()
	sets := r.checker.sets
	r.down("b1")
	r.up("b1")
	r.apply(serving("b1*4", "b2"))
	r.drain(named("b1"), DrainOptions{})
	if r.checker.sets != sets {
		t.Errorf("checks were set %d times for nothing", r.checker.sets-sets)
	}
	if _, err := r.table.Disable(bg, named("b1"), false); err != nil {
		t.Fatal(err)
	}
	if r.checker.sets != sets+1 {
		t.Errorf("checks were set %d times, want once", r.checker.sets-sets)
	}
}

func TestAdoptedBackendsStartUp(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2", "b3"))
	r.up("b1")
	r.up("b2")
	r.drain(named("b2"), DrainOptions{})
	r.restart()
	r.wantTakers(vip, "b1")
	r.apply(serving("b1", "b2", "b3"))
	r.wantTakers(vip, "b1")
	for id, check := range r.checker.checks {
		if want := id.Backend == backendAddr("b1"); check.Up != want {
			t.Errorf("check of %v starts with up=%v", id.Backend, check.Up)
		}
	}
	r.down("b1")
	r.wantTakers(vip)
}

func TestChecksThatStartLaterLeaveWhoServes(t *testing.T) {
	r := newRig(t)
	r.apply(with(serving("b1"), func(s *config.Service) { s.HealthCheck.Type = config.HealthCheckOff }))
	r.wantTakers(vip, "b1")
	r.apply(serving("b1", "b2"))
	r.wantTakers(vip, "b1")
	r.up("b2")
	r.wantTakers(vip, "b1", "b2")
}

func TestStaleResultsAreIgnored(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	r.allUp()
	r.apply(serving("b2"))
	r.up("b1")
	r.wantTakers(vip)
	if len(r.table.model.Load().verdicts) != 1 {
		t.Errorf("verdicts are %v", r.table.model.Load().verdicts)
	}
}

func TestOnDownReset(t *testing.T) {
	r := newRig(t)
	r.apply(
		with(serving("b1", "b2"), func(s *config.Service) { s.OnDown = config.OnDownReset }),
		at(serving("b1"), "keep", "192.0.2.4:22"),
	)
	r.allUp()
	reset, other := r.flowTo(vip, "b1"), r.flowTo(vip, "b2")
	kept, _ := r.flow(addrPort("192.0.2.4:22"))
	r.clock.advance(time.Second)
	r.down("b1")
	r.up("b1")
	r.clock.advance(time.Second)
	fresh := r.flowTo(vip, "b1")
	r.table.pass(bg)
	if _, ok := r.dp.data(reset, vip); ok {
		t.Error("the flow of the backend that went down lives on")
	}
	r.lives(other, vip, "b2")
	r.lives(kept, addrPort("192.0.2.4:22"), "b1")
	r.lives(fresh, vip, "b1")
	r.run(time.Minute)
	r.lives(fresh, vip, "b1")
	if len(r.table.resets.ids) != 0 {
		t.Errorf("resets %v are still to be done", r.table.resets.ids)
	}
}

func TestResetIsTriedAgain(t *testing.T) {
	r := newRig(t)
	r.apply(with(serving("b1"), func(s *config.Service) { s.OnDown = config.OnDownReset }))
	r.allUp()
	client, _ := r.flow(vip)
	r.dp.fault = func(call string) error {
		if call == "Kill " {
			return errInjected
		}
		return nil
	}
	r.down("b1")
	r.clock.advance(time.Second)
	r.table.pass(context.Background())
	r.lives(client, vip, "b1")
	r.dp.fault = nil
	r.clock.advance(time.Second)
	r.table.pass(context.Background())
	if _, ok := r.dp.data(client, vip); ok {
		t.Error("the flow lives on")
	}
}

// A backend that was never up has no flows that its failing could reset, and a
// backend whose check fails again is not reset twice.
func TestResetOnlyWhenItGoes(t *testing.T) {
	r := newRig(t)
	r.apply(with(serving("b1"), func(s *config.Service) { s.OnDown = config.OnDownReset }))
	r.down("b1")
	r.down("b1")
	if len(r.table.resets.ids) != 0 {
		t.Errorf("resets are %v", r.table.resets.ids)
	}
}
