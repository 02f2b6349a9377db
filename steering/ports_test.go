package steering

import (
	"net/netip"
	"strings"
	"testing"

	"sluice/internal/config"
)

// TestPortsAreAlarmed: before the source ports towards a backend are used up
// somebody is told, and not for another backend, and not for long.
func TestPortsAreAlarmed(t *testing.T) {
	ports := 10
	r := newRig(t)
	r.table.opt.SourcePorts = func() int { return ports }
	r.apply(serving("b1"))
	r.allUp()
	for range 7 {
		r.flow(vip)
	}
	r.sweep()
	if got := r.alarms("source ports"); len(got) != 0 {
		t.Errorf("alarm at 70 %%: %+v", got)
	}
	r.flow(vip)
	r.sweep()
	got := r.alarms("source ports")
	if len(got) != 1 || got[0].Severity != SeverityWarning || !strings.Contains(got[0].Text, "80 % of the source ports towards backend b1 (10.0.0.1:22) are in use: 8 of 10") {
		t.Errorf("alarms at 80 %% are %+v", got)
	}
	r.flow(vip)
	r.flow(vip)
	r.sweep()
	if got := r.alarms("source ports"); len(got) != 1 || got[0].Severity != SeverityCritical {
		t.Errorf("alarms at 100 %% are %+v", got)
	}
	// One more address is as many ports again.
	r.apply(with(serving("b1"), func(s *config.Service) {
		s.SourcePool = []netip.Addr{netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("192.0.2.33")}
	}))
	r.sweep()
	if got := r.alarms("source ports"); len(got) != 0 {
		t.Errorf("alarm at 50 %%: %+v", got)
	}
	// A backend that sees the client takes none.
	ports = 1
	r.apply(with(serving("b1"), func(s *config.Service) { s.ClientAddress = config.ClientKeep }))
	r.sweep()
	if got := r.alarms("source ports"); len(got) != 0 {
		t.Errorf("alarm without source ports: %+v", got)
	}
}

// TestDeafBackendsAreAlarmed: a backend that does not read PROXY headers is named,
// one that is merely down is not.
func TestDeafBackendsAreAlarmed(t *testing.T) {
	r := newRig(t)
	r.apply(with(serving("b1", "b2"), func(s *config.Service) { s.ClientAddress = config.ClientProxyV2 }))
	at := func(name string) CheckID {
		return CheckID{Backend: r.backend(name).Addr, Proxy: true}
	}
	r.results(
		CheckResult{CheckID: at("b1"), Reason: "failed: does not accept PROXY v2: broke off at the header"},
		CheckResult{CheckID: at("b2"), Reason: "failed: connection refused"},
	)
	if got := r.alarms("backend b1"); len(got) != 1 || got[0].Text != "failed: does not accept PROXY v2: broke off at the header" {
		t.Errorf("alarms of b1 are %+v", got)
	}
	if got := r.alarms("backend b2"); len(got) != 0 {
		t.Errorf("alarms of b2 are %+v", got)
	}
	r.results(CheckResult{CheckID: at("b1"), Up: true})
	if got := r.alarms("backend b1"); len(got) != 0 {
		t.Errorf("alarm stays while it is up: %+v", got)
	}
}
