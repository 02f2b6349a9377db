package view

import (
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/config"
	"sluice/internal/control"
	"sluice/internal/node/process"
	"sluice/loader"
	"sluice/steering"
)

var (
	at     = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	later  = at.Add(time.Hour)
	listen = netip.MustParseAddrPort("192.0.2.3:22")
	blue   = netip.MustParseAddrPort("10.0.0.11:22")
	client = netip.MustParseAddrPort("198.51.100.7:40022")
)

// status has a different number in every place, so that no two can be mixed up
// unseen.
var status = steering.Status{
	Services: []steering.ServiceStatus{{
		Name: "login", Listen: listen, Mode: loader.ModeNAT, Removed: true,
		Settings: config.Service{ClientAddress: config.ClientHide, Select: config.SelectHash},
		Members:  []steering.MemberStatus{{Name: "blue", Addr: blue, State: steering.StateUp, Weight: 1, FlowsNow: 2}},
		Counters: steering.ServiceCounters{PacketsIn: 3, BytesIn: 4, SYNs: 5, Refused: 6, FlowsUnprotected: 7, NoReturnPath: 8, ICMPErrors: 9},
		Flows:    steering.Counters{PacketsIn: 90, BytesIn: 91, PacketsOut: 9, BytesOut: 10, FlowsOpened: 11, FlowsRevived: 23},
		FlowsNow: 12, UpperBound: true, Marks: &loader.MarkCount{Any: 24, Moved: 25, Pending: 26, Refresh: 27},
	}},
	Backends: []steering.BackendStatus{{
		Name: "blue", Addr: blue, State: steering.StateDraining, Since: at, Reason: "by an operator", Health: steering.HealthPassing,
		Weight: 13, Services: []string{"login", "sftp"},
		Counters: steering.Counters{PacketsIn: 14, BytesIn: 15, PacketsOut: 16, BytesOut: 17, FlowsOpened: 18, SYNs: 19, Resets: 20},
		FlowsNow: 21, UpperBound: true, Drain: &steering.Drain{Deadline: later, Silent: 22},
	}},
}

// complete fails for fields of a shown value that no source fills.
func complete(t *testing.T, shown any, but ...string) {
	t.Helper()
	v := reflect.ValueOf(shown)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if v.Field(i).IsZero() != strings.Contains(" "+strings.Join(but, " ")+" ", " "+name+" ") {
			t.Errorf("%s.%s is %v", v.Type(), name, v.Field(i))
		}
	}
}

func TestServices(t *testing.T) {
	want := []control.Service{{
		Name: "login", Listen: listen, Mode: "nat", ClientAddress: "hide", Select: "hash", Removed: true,
		Backends:  []control.ServiceMember{{Name: "blue", Addr: blue, State: control.StateUp, Weight: 1, FlowsNow: 2}},
		PacketsIn: 3, BytesIn: 4, SYNs: 5, Refused: 6, FlowsUnprotected: 7, NoReturnPath: 8, ICMPErrors: 9,
		PacketsOut: 9, BytesOut: 10, FlowsOpened: 11, FlowsNow: 12, FlowsNowIsUpperBound: true,
		FlowsRevived: 23, RingEntries: loader.RingEntries, RingInDoubt: 24, RingMoved: 25, RingPending: 26, RingRefresh: 27,
	}}
	got := Services(status)
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Error(diff)
	}
	complete(t, got[0])
	complete(t, got[0].Backends[0])
}

func TestBackends(t *testing.T) {
	want := []control.Backend{{
		Name: "blue", Addr: blue, State: control.StateDraining, Since: at, Reason: "by an operator", Health: "passing",
		Weight: 13, Services: []string{"login", "sftp"},
		PacketsIn: 14, BytesIn: 15, PacketsOut: 16, BytesOut: 17, FlowsOpened: 18, SYNs: 19, Resets: 20,
		FlowsNow: 21, FlowsNowIsUpperBound: true, FlowsSilent: 22, Deadline: &later,
	}}
	got := Backends(status)
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Error(diff)
	}
	complete(t, got[0], "SessionsNow") // sessions end on other nodes than this one steers
	endless := status
	endless.Backends = []steering.BackendStatus{{Drain: &steering.Drain{}}}
	if got := Backends(endless); got[0].Deadline != nil {
		t.Errorf("a drain without a deadline has %v", got[0].Deadline)
	}
}

func TestTotals(t *testing.T) {
	two := status
	two.Backends = append(two.Backends, status.Backends[0])
	drops := []loader.DropCounter{{Reason: "ttl", Packets: 100}, {Reason: "fragment", Packets: 11}}
	want := control.Totals{
		FlowsNow: 42, FlowsNowIsUpperBound: true, FlowsMax: 77, FlowsOpened: 36, RingEntries: loader.RingEntries, RingInDoubt: 24,
		PacketsIn: 28, BytesIn: 30, PacketsOut: 32, BytesOut: 34, PacketsDropped: 111,
	}
	if diff := cmp.Diff(want, Totals(two, drops, 77)); diff != "" {
		t.Error(diff)
	}
}

func TestModes(t *testing.T) {
	got := []string{mode(loader.ModeNAT), mode(loader.ModeDSR), mode(loader.ModeSSHD), mode(loader.ModeIPIP), mode(loader.ModeGUE), mode(99)}
	if diff := cmp.Diff([]string{"nat", "dsr", "sshd", "ipip", "gue", ""}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAttachmentsAndAlarms(t *testing.T) {
	a := Attachments([]loader.Attachment{{Interface: "ext0", Index: 2, Mode: loader.XDPNative, Driver: "ice", MTU: 1500}}, "steer")
	if diff := cmp.Diff([]control.Attachment{{Interface: "ext0", Index: 2, Program: "steer", Mode: "native", Driver: "ice", MTU: 1500}}, a); diff != "" {
		t.Error(diff)
	}
	alarms := Alarms([]steering.Alarm{{Severity: steering.SeverityCritical, Subject: "s", Text: "t", Hint: "h", Since: at}})
	if diff := cmp.Diff([]control.Alarm{{Severity: "critical", Subject: "s", Text: "t", Hint: "h", Since: at}}, alarms); diff != "" {
		t.Error(diff)
	}
}

// Every reason of the programs has a sentence, and there is none too many.
func TestDropsHaveTexts(t *testing.T) {
	header, err := os.ReadFile("../../../bpf/shared.h")
	if err != nil {
		t.Fatal(err)
	}
	_, enum, _ := strings.Cut(string(header), "enum drop_reason {")
	enum, _, _ = strings.Cut(enum, "};")
	reasons := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^\tDROP_(\w+)`).FindAllStringSubmatch(enum, -1) {
		if m[1] != "NONE" && m[1] != "REASONS" {
			reasons[strings.ToLower(m[1])] = true
		}
	}
	if len(reasons) < 10 {
		t.Fatalf("found only %v", reasons)
	}
	for reason := range reasons {
		if got := Drops([]loader.DropCounter{{Reason: reason, Packets: 1, Bytes: 2}})[0]; got.Text == "" || got.Packets != 1 || got.Bytes != 2 {
			t.Errorf("reason %s is shown as %+v", reason, got)
		}
	}
	for reason := range dropTexts {
		if !reasons[reason] {
			t.Errorf("there is no reason %s", reason)
		}
	}
}

func TestQuery(t *testing.T) {
	net := netip.MustParsePrefix("198.51.100.0/24")
	in := control.FlowQuery{
		Service: "login", Backend: "blue", Client: net, State: control.FlowHalfClosed, MinIdle: time.Minute,
		Sort: control.SortIdle, Descending: true, Offset: 3, Limit: 4,
	}
	want := steering.Query{
		Service: "login", Backend: "blue", Client: net, State: loader.FlowHalfClosed, MinIdle: time.Minute,
		Sort: steering.SortIdle, Descending: true, Offset: 3, Limit: 4,
	}
	if diff := cmp.Diff(want, Query(in), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
	if got := Query(control.FlowQuery{}); got.State != 0 {
		t.Errorf("any state became %d", got.State)
	}
	// The words of the two packages are the same, so a sort is just passed on.
	for a, b := range map[control.FlowSort]steering.FlowSort{
		control.SortClient: steering.SortClient, control.SortBackend: steering.SortBackend,
		control.SortAge: steering.SortAge, control.SortIdle: steering.SortIdle,
	} {
		if string(a) != string(b) {
			t.Errorf("%s is %s in steering", a, b)
		}
	}
}

func TestPage(t *testing.T) {
	p := steering.Page{Total: 9, At: at, Flows: []steering.Flow{{
		Client: client, Listen: listen, Service: "login", Backend: "blue", BackendAddr: blue, Source: listen, Connection: "0a0b",
		State: loader.FlowEstablished, Age: time.Hour, Idle: time.Second,
	}}}
	got := Page(p, 5)
	want := control.FlowPage{Total: 9, Offset: 5, AsOf: at, Flows: []control.Flow{{
		Client: client, Listen: listen, Service: "login", Backend: "blue", BackendAddr: blue, Source: listen, Connection: "0a0b",
		State: control.FlowEstablished, Age: control.Seconds(time.Hour), Idle: control.Seconds(time.Second),
	}}}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Error(diff)
	}
	complete(t, got.Flows[0])
	for state := loader.FlowYoung; state <= loader.FlowKilled; state++ {
		if flowStates[state] == "" {
			t.Errorf("state %d has no word", state)
		}
	}
}

func TestExplanation(t *testing.T) {
	e := steering.Explanation{
		Client: client, Listen: listen, Service: "login", Mode: loader.ModeDSR, Verdict: steering.VerdictDrop, Reason: "killed",
		Backend: "blue", BackendAddr: blue, Known: &steering.Flow{}, RingEntry: 7, Steps: []string{"a", "b"}, Program: []string{"c"},
	}
	got := Explanation(e)
	if got.Mode != "dsr" || got.Verdict != "drop" || len(got.Steps) != 2 {
		t.Errorf("%+v", got)
	}
	complete(t, got)
	if Explanation(steering.Explanation{}).KnownFlow {
		t.Error("a flow is known where none is")
	}
}

func TestEvent(t *testing.T) {
	for name, c := range map[string]struct {
		in   steering.Event
		want control.Event
	}{
		"flow": {
			steering.Event{Time: at, Kind: steering.EventFlowRefused, Service: "login", Backend: "blue", Client: client, Listen: listen, Reason: "no_backend"},
			control.Event{Time: at, Kind: control.EventFlowRefused, Flow: &control.FlowEvent{Client: client, Listen: listen, Service: "login", Backend: "blue", Reason: "no_backend"}},
		},
		"backend": {
			steering.Event{Time: at, Kind: steering.EventBackendState, Backend: "blue", BackendAddr: blue, StateWas: steering.StateUp, State: steering.StateDown, Reason: "no banner"},
			control.Event{Time: at, Kind: control.EventBackendState, Backend: &control.BackendEvent{Name: "blue", Addr: blue, Services: []string{"login"}, StateWas: "up", State: "down", Reason: "no banner"}},
		},
		"drain": {
			steering.Event{Time: at, Kind: steering.EventDrainProgress, Backend: "blue", BackendAddr: blue, State: steering.StateDraining, Drain: &steering.Drain{Flows: 5, Silent: 3}},
			control.Event{Time: at, Kind: control.EventDrainProgress, Backend: &control.BackendEvent{Name: "blue", Addr: blue, Services: []string{"login"}, State: "draining", FlowsNow: 5, FlowsSilent: 3}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Event(c.in, []string{"login"}), cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
				t.Error(diff)
			}
		})
	}
	for a, b := range map[steering.EventKind]control.EventKind{
		steering.EventFlowEstablished: control.EventFlowEstablished, steering.EventFlowClosed: control.EventFlowClosed,
		steering.EventFlowRefused: control.EventFlowRefused, steering.EventBackendState: control.EventBackendState,
		steering.EventDrainProgress: control.EventDrainProgress,
	} {
		if string(a) != string(b) {
			t.Errorf("%s is %s on the wire", a, b)
		}
	}
}

func TestProcess(t *testing.T) {
	all := process.CapSet(1<<41 - 1)
	s := process.Status{UID: 998, NoNewPrivs: true, Effective: process.NodeCaps, Permitted: 1, Ambient: 0, Bounding: all}
	want := control.Process{
		Name: "node", PID: 41, UID: 998, NoNewPrivileges: true,
		Capabilities: control.Capabilities{
			Effective: process.NodeCaps.Names(), Permitted: []string{"cap_chown"}, Ambient: []string{}, Bounding: []string{"all"},
		},
	}
	if diff := cmp.Diff(want, Process("node", 41, s, all)); diff != "" {
		t.Error(diff)
	}
}

func TestCompanion(t *testing.T) {
	c := process.Companion{PID: 41, Since: at, Restarts: 3, Rights: process.Status{UID: 998, Effective: process.VIPCaps},
		Schedule: process.Schedule{Realtime: true, Priority: 10}}
	want := Process("vip", 41, c.Rights, 0)
	want.StartedAt, want.Restarts, want.Schedule = at, 3, "real-time priority 10"
	if diff := cmp.Diff(want, Companion(c, 0)); diff != "" || want.Capabilities.Effective[0] != "cap_net_admin" {
		t.Errorf("%v: %s", want, diff)
	}
}
