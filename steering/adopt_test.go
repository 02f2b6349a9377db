package steering

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
	"sluice/loader"
	"sluice/steering/ring"
)

func TestRestartChangesNothing(t *testing.T) {
	r := newRig(t)
	all := []config.Service{serving("b1", "b2*2"), with(at(serving("b2", "b3"), "two", "192.0.2.4:22"), dsr)}
	r.apply(all...)
	r.allUp()
	c1, c2 := r.flowTo(vip, "b1"), r.flowTo(addrPort("192.0.2.4:22"), "b3")
	members, services, checks := maps.Clone(r.dp.members), fmt.Sprint(r.dp.services), maps.Clone(r.dp.checks)
	before := r.status()
	sets := r.dp.sets
	clear(r.dp.checks) // where they lead the process before had for itself
	r.restart()
	r.lives(c1, vip, "b1")
	r.apply(all...)
	r.lives(c1, vip, "b1")
	r.lives(c2, addrPort("192.0.2.4:22"), "b3")
	if r.dp.sets != sets {
		t.Errorf("%d ring entries were stored", r.dp.sets-sets)
	}
	if !maps.Equal(members, r.dp.members) || services != fmt.Sprint(r.dp.services) || !maps.Equal(checks, r.dp.checks) {
		t.Errorf("records changed: %v %v %v", r.dp.members, r.dp.services, r.dp.checks)
	}
	for i, b := range r.status().Backends {
		was := before.Backends[i]
		was.Counters.PacketsIn += map[string]uint64{"b1": 2, "b3": 1}[b.Name]
		was.Counters.BytesIn += 60 * map[string]uint64{"b1": 2, "b3": 1}[b.Name]
		if b.Counters != was.Counters || b.State != was.State || b.FlowsNow != was.FlowsNow {
			t.Errorf("backend is %+v, was %+v", b, was)
		}
	}
	if r.resolver.settled != 2 {
		t.Errorf("the resolver was told %d times that all is settled, want once a start", r.resolver.settled)
	}
}

func TestRingsStayFrozenUntilSettings(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1", "b2"))
	r.allUp()
	r.restart()
	r.wantTakers(vip, "b1", "b2")
	if err := r.table.Moved(backendAddr("b1").Addr(), 1); err != nil {
		t.Fatal(err)
	}
	r.results(CheckResult{CheckID: CheckID{Backend: backendAddr("b1")}})
	r.run(time.Hour)
	r.wantTakers(vip, "b1", "b2")
}

func TestCrashBetweenRecordAndLedger(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	r.allUp()
	r.flow(vip)
	// Id 2 counted for somebody before; its new record was written, the ledger
	// was not.
	r.dp.memberCounts[2] = loader.MemberCounters{PacketsIn: 1000}
	r.dp.members[2] = loader.Member{Service: 1, Addr: backendAddr("b2"), NextHop: 1}
	r.restart()
	r.apply(serving("b1", "b2"))
	if got := r.backend("b2").Counters; got != (Counters{}) {
		t.Errorf("b2 shows %+v", got)
	}
	if got := r.backend("b1").Counters.FlowsOpened; got != 1 {
		t.Errorf("b1 shows %d flows", got)
	}
}

func TestLedgerThatIsGoneCostsOnlyWhatWasCarried(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	r.allUp()
	r.flow(vip)
	if err := os.Remove(filepath.Join(r.opt.DataDir, ledgerFile)); err != nil {
		t.Fatal(err)
	}
	r.restart()
	r.apply(serving("b1"))
	if got := r.backend("b1").Counters.FlowsOpened; got != 1 {
		t.Errorf("%d flows are shown, 1 was opened", got)
	}
	if got := r.alarms(filepath.Join(r.opt.DataDir, ledgerFile)); len(got) != 0 {
		t.Errorf("alarms are %+v", got)
	}
}

func TestUnreadableLedgerIsPutAside(t *testing.T) {
	for name, text := range map[string]string{
		"torn":  `{"version": 1, "members": {"in_`,
		"newer": `{"version": 99}`,
		"wrong": `{"version": 1, "members": {"free": [{"id": 7, "key": " "}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.apply(serving("b1"))
			path := filepath.Join(r.opt.DataDir, ledgerFile)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			r.restart()
			if got := r.alarms(path); len(got) != 1 {
				t.Errorf("alarms are %+v", got)
			}
			if kept, err := os.ReadFile(path + ".unreadable"); err != nil || string(kept) != text {
				t.Errorf("kept %q, %v", kept, err)
			}
			r.apply(serving("b1", "b2"))
		})
	}
}

func TestStateFileThatCannotBeReadStopsTheStart(t *testing.T) {
	for name, text := range map[string]string{
		"torn":  `{"version": 1, "backends": {"10.0`,
		"newer": `{"version": 99}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			path := filepath.Join(r.opt.DataDir, stateFile)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := New(r.dp, r.opt)
			if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "remove") {
				t.Errorf("error is %v; it must name the file and the way out", err)
			}
		})
	}
}

func TestLeftoversOfACrashedWriteAreRemoved(t *testing.T) {
	r := newRig(t)
	stale := filepath.Join(r.opt.DataDir, stateFile+".1234")
	if err := os.WriteFile(stale, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.restart()
	if _, err := os.Stat(stale); err == nil {
		t.Error("it is still there")
	}
}

// The node may die between the store that gives an address to another mode and
// the mark on the service that had it.
func TestCrashInAModeChange(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	r.allUp()
	r.dp.fault = func(call string) error {
		if call == "PutService 1" {
			return errInjected // and so is its undoing
		}
		return nil
	}
	_, err := r.table.Apply(bg, settings(with(serving("b1"), dsr)))
	r.dp.fault = nil
	if err == nil {
		t.Fatal("no error")
	}
	// As a crash would have left it: both there, the new one published.
	r.dp.services[2] = recordOf(with(serving("b1"), dsr))
	r.dp.rings[2] = &fakeRing{d: r.dp, service: 2, Ring: loader.NewRing()}
	r.dp.published[vip] = 2
	for _, mode := range []func(*config.Service){dsr, func(*config.Service) {}} {
		r.restart()
		r.apply(with(serving("b1"), mode))
		want := recordOf(with(serving("b1"), mode)).Mode
		if got := r.dp.services[r.dp.published[vip]]; got.Mode != want || got.Removed {
			t.Errorf("published is %+v, want mode %d", got, want)
		}
	}
}

// Of two services with one address the one that is published has it.
func TestUnpublishedServiceIsOfNoUse(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	r.allUp()
	client, _ := r.flow(vip)
	r.dp.services[2] = recordOf(with(serving("b1"), dsr))
	r.dp.rings[2] = &fakeRing{d: r.dp, service: 2, Ring: loader.NewRing()}
	r.dp.members[2] = loader.Member{Service: 2, Addr: backendAddr("b1"), NextHop: 1}
	r.dp.published[vip] = 2
	r.restart()
	r.apply()
	r.run(time.Minute)
	if f := r.dp.flows[flowKey{client, 1}]; f != nil && f.state < loader.FlowClosed {
		t.Error("a flow that no packet reaches lives on")
	}
	r.settledFor(embryo)
	r.settledFor(embryo)
	if len(r.dp.services) != 0 || len(r.dp.published) != 0 {
		t.Errorf("services %v are left, %v published", r.dp.services, r.dp.published)
	}
}

func TestNewErrors(t *testing.T) {
	r := newRig(t)
	r.apply(serving("b1"))
	for _, call := range []string{"Services ", "Members ", "Ring 1", "MemberCounters ", "ServiceCounters ", "Scan "} {
		r.dp.fault = func(c string) error {
			if c == call {
				return errInjected
			}
			return nil
		}
		if _, err := New(r.dp, r.opt); err == nil {
			t.Errorf("%s failed and New did not say so", call)
		}
	}
	r.dp.fault = nil
	for name, edit := range map[string]func(*Options){
		"no checker":     func(o *Options) { o.Checker = nil },
		"no resolver":    func(o *Options) { o.Resolver = nil },
		"no directory":   func(o *Options) { o.DataDir = filepath.Join(o.DataDir, "none") },
		"narrow network": func(o *Options) { o.CheckNet4 = netip.MustParsePrefix("169.254.64.0/24") },
		"narrow v6":      func(o *Options) { o.CheckNet6 = netip.MustParsePrefix("fd00::/120") },
	} {
		opt := r.opt
		edit(&opt)
		if _, err := New(r.dp, opt); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestCheckAddresses(t *testing.T) {
	r := newRig(t)
	for id, want := range map[loader.MemberID]string{1: "169.254.64.1", 256: "169.254.65.0", maxMemberID: "169.254.127.255"} {
		if got := r.table.checkAddr(id, vip.Addr()).String(); got != want {
			t.Errorf("member %d is checked at %s, want %s", id, got, want)
		}
	}
	if got := r.table.checkAddr(258, netip.IPv6Loopback()).String(); got != "fd73:6c75:6963:6500::102" {
		t.Errorf("IPv6 check address is %s", got)
	}
}

func TestRingLengthsAgree(t *testing.T) {
	if diff := cmp.Diff(loader.RingEntries, ring.Entries); diff != "" {
		t.Error(diff)
	}
}
