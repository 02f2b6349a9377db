package control

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/*.json anew")

// TestWireNames pins every field name that scripts may rely on: a difference
// here is a break of the API.
func TestWireNames(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	client := netip.MustParseAddrPort("198.51.100.7:40022")
	listen := netip.MustParseAddrPort("192.0.2.3:22")
	blue := netip.MustParseAddrPort("10.0.0.11:22")
	state := SettingsState{
		Generation: 47, File: "/etc/sluice/sluice.yaml", FileIsBehind: true,
		LastReload: &Reload{At: at, OK: true, Changes: 1},
	}
	weight := 3
	for name, v := range map[string]any{
		"version": Build{Version: "v1.2.3", Commit: "0123456789ab", Go: "go1.26", API: "v1"},
		"status": Status{
			Node: "gw-a", StartedAt: at, Uptime: Seconds(90 * time.Second), PID: 12, Settings: state,
			Processes: []Process{{Name: "node", PID: 12, UID: 997, StartedAt: at, Restarts: 2, Schedule: "real-time priority 10", NoNewPrivileges: true, Capabilities: Capabilities{
				Effective: []string{"cap_bpf"}, Bounding: []string{"all"},
			}}},
			Attachments: []Attachment{{Interface: "ext0", Index: 2, Program: "steer", Mode: "native", Driver: "veth", MTU: 1500}},
			Decap:       []DecapVerdict{{Verdict: "done", Packets: 8, Bytes: 9}},
			Totals:      Totals{FlowsNow: 1, FlowsMax: 262144, FlowsOpened: 2, PacketsIn: 3, BytesIn: 4, PacketsOut: 5, BytesOut: 6, PacketsDropped: 7},
			Alarms:      []Alarm{{Severity: "warning", Subject: "ext0", Text: "runs in generic mode", Hint: "see sluice doctor", Since: at}},
		},
		"nodes": NodeList{[]Node{{Name: "gw-a", Self: true, Known: true, Version: "v1.2.3", StartedAt: at, Generation: 47, FlowsNow: 1}}},
		"services": ServiceList{[]Service{{
			Name: "sftp", Listen: listen, Mode: "nat", ClientAddress: "hide", Select: "hash",
			Backends: []ServiceMember{{Name: "blue1", Addr: blue, State: StateUp, Weight: 1, FlowsNow: 1}},
		}}},
		"backends": BackendList{[]Backend{{
			Name: "blue1", Addr: blue, State: StateDraining, Weight: 1, PacketsIn: 1, BytesIn: 2, PacketsOut: 3, BytesOut: 4,
			FlowsOpened: 5, FlowsNow: 6, SessionsNow: 7, Services: []string{"sftp"}, Since: at, Reason: "drained by an operator",
			Health: "passing", FlowsNowIsUpperBound: true, FlowsSilent: 8, Deadline: &at, SYNs: 9, Resets: 10,
		}}},
		"drops": DropList{[]Drop{{Reason: "no_backend", Packets: 1, Bytes: 60, Text: "no backend of the service is up"}}},
		"flows": FlowPage{Total: 1, AsOf: at, Flows: []Flow{{
			Client: client, Listen: listen, Service: "sftp", Backend: "blue1", BackendAddr: blue, Source: client,
			State: FlowEstablished, Age: Seconds(time.Minute), Idle: Seconds(1500 * time.Millisecond),
		}}},
		"explain": Explanation{
			Client: client, Listen: listen, Service: "sftp", Mode: "nat", Verdict: "forward", Backend: "blue1",
			BackendAddr: blue, RingEntry: 4711, Steps: []string{"the ring names blue1"}, Program: []string{"verdict XDP_TX"},
		},
		"settings": Settings{SettingsState: state, AppliedAt: at, Text: "services: []\n"},
		"diff":     DiffResult{[]Change{{Path: "dataplane.max_flows", Old: "1", New: "2", NeedsRestart: true}}},
		"apply":    ApplyResult{Generation: 48, Changed: true},
		"changes": ChangeList{[]BackendChange{{
			Name: "blue1", Addr: blue, Services: []string{"sftp"}, StateWas: StateUp, State: StateDraining, WeightWas: 1, Weight: 1, FlowsNow: 6,
		}}},
		"bans": BanList{
			Bans: []Ban{
				{Prefix: netip.MustParsePrefix("192.0.2.7/32"), Reason: "scans", Since: at, Until: &at, Packets: 1, Bytes: 60},
				{Prefix: netip.MustParsePrefix("2001:db8::/64"), Since: at},
			},
			Denied: []Rule{{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Packets: 2, Bytes: 120}},
			Exempt: []Rule{{Prefix: netip.MustParsePrefix("198.51.100.9/32"), Packets: 1, Bytes: 60}},
		},
		"ban_request":   BanRequest{Prefix: "192.0.2.7", For: Duration(time.Hour), Reason: "scans", Kill: true},
		"ban_result":    BanResult{Ban: Ban{Prefix: netip.MustParsePrefix("192.0.2.7/32"), Since: at}, FlowsKilled: 3},
		"unban_request": UnbanRequest{Prefix: "192.0.2.7"},
		"unban_result":  UnbanResult{Prefix: netip.MustParsePrefix("192.0.2.7/32"), Changed: true},
		"event": Event{
			Seq: 1, Time: at, Kind: EventFlowClosed, Lost: 2,
			Flow:    &FlowEvent{Client: client, Listen: listen, Service: "sftp", Backend: "blue1"},
			Backend: &BackendEvent{Name: "blue1", Addr: blue, Services: []string{"sftp"}, StateWas: StateUp, State: StateDown},
		},
		"drain":         DrainRequest{Selection{[]string{"blue[1-4]"}, true, "sftp"}, DrainOptions{Duration(time.Hour), Duration(time.Minute), true}},
		"disable":       DisableRequest{Yes: true},
		"weight":        WeightRequest{Weight: &weight, Yes: true},
		"apply_request": ApplyRequest{SettingsFile{"f.yaml", "services: []\n"}, true},
		"vips": VirtualClusterList{[]VirtualCluster{{
			Name: "edge", VRID: 51, State: VIPActive, Since: at, Cause: "peer_silent", Reason: "nothing heard of gw-b for 312ms", Term: 7,
			Priority: Priority{Base: 150, Effective: 130}, Preempt: true, Eligible: true, Faults: []string{"ping item on int0 failed"},
			Changes: Counts{"peer_silent": 3},
			VIPs:    []VIP{{Addr: netip.MustParsePrefix("192.0.2.3/32"), Interface: "ext0", MAC: "00:00:5e:00:01:33", Owner: true}},
			Peers: []GatewayPeer{{Node: "gw-b", Addr: netip.MustParseAddrPort("169.254.1.0:8021"), State: VIPBackup, Priority: 100, Effective: 90,
				Alive: true, Age: Seconds(20 * time.Millisecond), HearsUs: true, LossIn: 0.5, LossOut: 0.25, PingsOK: true, Synced: true, Version: "v1.2.3", Generation: 47}},
			Segments: []Segment{{Interface: "ext0", Family: "ipv4", AdvertsIn: 1, AdvertsOut: 2, Refused: Counts{"bad_ttl": 3}, ActiveAddr: netip.MustParseAddr("192.0.2.2")}},
			Pings:    []PingItem{{Interface: "int0", OK: true, Hosts: []PingHost{{Addr: netip.MustParseAddr("10.0.2.11"), OK: true, RTT: Seconds(time.Millisecond), Loss: 0.125, Flaps: 3}}}},
			Links:    []Link{{Interface: "ext0", Up: true}},
			Sync:     []FlowSync{{Peer: "gw-b", Direction: "out", State: "synced", Lag: Seconds(30 * time.Millisecond), Flows: 9, Resyncs: 1}},
			Alarms:   []ClusterAlarm{{Name: "one_way", Severity: "warning", Since: at, Text: "gw-b does not hear us", Hint: "look at its firewall"}},
		}}},
		"vip_order":    VIPOrder{Clusters: []string{"edge"}, For: Duration(time.Hour), Yes: true},
		"vip_changes":  VIPChangeList{[]VIPChange{{Cluster: "edge", StateWas: VIPActive, State: VIPBackup, Peer: "gw-b", Until: &at}}},
		"history":      History{[]StateChange{{At: at, Cluster: "edge", StateWas: VIPBackup, State: VIPActive, Term: 7, Cause: "peer_silent", Reason: "nothing heard of gw-b for 312ms"}}},
		"explain_fail": FailExplanation{Kind: FailNode, Name: "gw-a", Clusters: []FailOutcome{{Cluster: "edge", Now: "gw-a", Then: "gw-b", Why: []string{"gw-b is next by priority 100"}}}},
		"error":        &Error{Code: CodeInvalidSettings, Message: "settings have 1 fault", Hint: "correct it", Details: []string{"f.yaml:1:1: x"}},
	} {
		t.Run(name, func(t *testing.T) { golden(t, filepath.Join("testdata", name+".json"), v) })
	}
}

func golden(t *testing.T, path string, v any) {
	t.Helper()
	var got bytes.Buffer
	e := json.NewEncoder(&got)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// TestBackendFieldsComeFirst pins names and order of what the design promises
// to scripts.
func TestBackendFieldsComeFirst(t *testing.T) {
	text, err := json.Marshal(Backend{})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"","addr":"","state":"","weight":0,"packets_in":0,"bytes_in":0,"packets_out":0,"bytes_out":0,` +
		`"flows_opened":0,"flows_now":0,"sessions_now":0,`
	if !bytes.HasPrefix(text, []byte(want)) {
		t.Errorf("got  %s\nwant %s...", text, want)
	}
}

func TestListIsNeverNull(t *testing.T) {
	for _, v := range []any{BackendList{}, ServiceList{}, DropList{}, NodeList{}, FlowPage{}, ChangeList{}, DiffResult{}, Status{}, Backend{}, Explanation{},
		VirtualClusterList{}, VirtualCluster{}, Segment{}, PingItem{}, VIPOrder{}, VIPChangeList{}, History{}, FailExplanation{}, FailOutcome{}, AlarmList{}} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
		for name, value := range fields {
			if value == nil && name != "deadline" {
				t.Errorf("%T: %q is null", v, name)
			}
		}
	}
}
