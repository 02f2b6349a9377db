package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/internal/control"
)

// epoch is now for everything that tests show.
var epoch = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// fakeNode is a node without a dataplane: three backends of one service whose
// flows end one by one while somebody watches a drain. It serves the real
// control API on a real socket.
type fakeNode struct {
	mu         sync.Mutex
	asked      []string
	backends   []control.Backend
	text       string
	generation uint64
	events     *control.Broker
	// clustered is a node with virtual clusters.
	clustered bool
}

func newFakeNode() *fakeNode {
	backend := func(name, addr string, flows uint64) control.Backend {
		return control.Backend{
			Name: name, Addr: netip.MustParseAddrPort(addr), State: control.StateUp, Weight: 1,
			PacketsIn: 1000, BytesIn: 1536, PacketsOut: 2000, BytesOut: 3 << 20, FlowsOpened: 40, FlowsNow: flows,
			Services: []string{"sftp"}, Since: epoch, Health: "passing",
		}
	}
	blind := backend("blind", "10.0.0.13:22", 5)
	blind.FlowsNowIsUpperBound, blind.FlowsSilent, blind.Services = true, 2, []string{"sftp", "direct"}
	return &fakeNode{
		backends:   []control.Backend{backend("blue1", "10.0.0.11:22", 3), backend("blue2", "10.0.0.12:22", 0), blind},
		text:       "services:\n  - {name: sftp, listen: \"192.0.2.3:22\", backends: [\"10.0.0.11:22\"]}\n",
		generation: 47,
		events:     control.NewBroker(func(bool) {}),
	}
}

// start serves the node on a socket in dir until stop or the end of the test.
func (n *fakeNode) start(t testing.TB, dir string) (socket string, stop func()) {
	socket = filepath.Join(dir, "control.sock")
	l, err := control.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	server := control.New(control.Options{
		Build: control.Build{Version: "v1.2.3", API: "v1"}, Status: n, Counters: n, Flows: n, Drainer: n, Weigher: n, Guardian: n,
		Settings: n, Explain: n, Failover: n, Events: n.events,
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, l) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return socket, stop
}

// ask notes a question and locks the node until the returned function.
func (n *fakeNode) ask(format string, args ...any) (unlock func()) {
	n.mu.Lock()
	n.asked = append(n.asked, fmt.Sprintf(format, args...))
	return n.mu.Unlock
}

// count returns how often a question was asked.
func (n *fakeNode) count(question string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := 0
	for _, q := range n.asked {
		if q == question {
			count++
		}
	}
	return count
}

func (n *fakeNode) Status(context.Context) (control.Status, error) {
	defer n.ask("status")()
	four := []string{"cap_bpf", "cap_net_admin", "cap_net_raw", "cap_perfmon"}
	s := control.Status{
		Node: "gw-a", Build: control.Build{Version: "v1.2.3", Commit: "0123456789ab", Go: "go1.26"},
		StartedAt: epoch.Add(-26 * time.Hour), Uptime: control.Seconds(26 * time.Hour), PID: 4712,
		Processes: []control.Process{
			{Name: "node", PID: 4712, UID: 997, NoNewPrivileges: true, StartedAt: epoch.Add(-26 * time.Hour), Restarts: 1,
				Capabilities: control.Capabilities{Effective: four, Permitted: four, Ambient: four, Bounding: four}},
			{Name: "vip", PID: 4713, UID: 997, NoNewPrivileges: true, StartedAt: epoch.Add(-time.Hour), Restarts: 2, Schedule: "real-time priority 10",
				Capabilities: control.Capabilities{Effective: four[:3], Permitted: four[:3], Ambient: four[:3], Bounding: four[:3]}},
			{Name: "parent", PID: 4711, StartedAt: epoch.Add(-26 * time.Hour), Capabilities: control.Capabilities{
				Effective: []string{"all"}, Permitted: []string{"all"}, Bounding: []string{"all"}}},
		},
		Attachments: []control.Attachment{
			{Interface: "ext0", Index: 2, Mode: "native", Driver: "veth", MTU: 1500},
			{Interface: "int0", Index: 3, Mode: "generic", MTU: 9000},
		},
		Settings: n.state(),
		Totals:   control.Totals{FlowsMax: 262144, PacketsDropped: 17},
		Alarms: []control.Alarm{{Severity: "warning", Subject: "int0", Text: "runs in generic mode",
			Hint: "see sluice doctor", Since: epoch.Add(-time.Hour)}},
	}
	for _, b := range n.backends {
		s.Totals.FlowsNow += b.FlowsNow
		s.Totals.FlowsOpened += b.FlowsOpened
		s.Totals.PacketsIn += b.PacketsIn
		s.Totals.BytesIn += b.BytesIn
		s.Totals.PacketsOut += b.PacketsOut
		s.Totals.BytesOut += b.BytesOut
		s.Totals.FlowsNowIsUpperBound = s.Totals.FlowsNowIsUpperBound || b.FlowsNowIsUpperBound
	}
	return s, nil
}

func (n *fakeNode) state() control.SettingsState {
	return control.SettingsState{
		Generation: n.generation, File: "/etc/sluice/sluice.yaml", FileIsBehind: true,
		LastReload: &control.Reload{At: epoch.Add(-time.Minute), OK: true, Changes: 1},
	}
}

func (n *fakeNode) Nodes(context.Context) ([]control.Node, error) {
	defer n.ask("nodes")()
	return []control.Node{
		{Name: "gw-a", Self: true, Known: true, Version: "v1.2.3", StartedAt: epoch, Generation: n.generation, FlowsNow: 8},
		{Name: "gw-b"},
	}, nil
}

func (n *fakeNode) Services(context.Context) ([]control.Service, error) {
	defer n.ask("services")()
	s := control.Service{
		Name: "sftp", Listen: netip.MustParseAddrPort("192.0.2.3:22"), Mode: "nat", ClientAddress: "hide", Select: "hash",
		PacketsIn: 3000, BytesIn: 4608, PacketsOut: 6000, BytesOut: 9 << 20, FlowsOpened: 120, FlowsNow: 8, SYNs: 121, Refused: 1,
	}
	for _, b := range n.backends {
		s.Backends = append(s.Backends, control.ServiceMember{Name: b.Name, Addr: b.Addr, State: b.State, Weight: b.Weight})
	}
	old := control.Service{Name: "old", Listen: netip.MustParseAddrPort("[2001:db8::3]:22"), Mode: "dsr", Removed: true, FlowsNow: 1, FlowsNowIsUpperBound: true}
	old.RingEntries, old.RingInDoubt, old.RingMoved, old.RingRefresh = 65537, 1376, 66, 1310
	return []control.Service{s, old}, nil
}

// Backends also lets one flow of each draining backend end, but for those of
// blind, which cannot be seen to.
func (n *fakeNode) Backends(context.Context) ([]control.Backend, error) {
	defer n.ask("backends")()
	list := slices.Clone(n.backends)
	for i := range n.backends {
		b := &n.backends[i]
		if b.State != control.StateDraining && b.State != control.StateDisabled || b.Name == "blind" {
			continue
		}
		if b.FlowsNow > 0 {
			b.FlowsNow--
		} else {
			b.State = control.StateDisabled
		}
	}
	return list, nil
}

func (n *fakeNode) Drops(context.Context) ([]control.Drop, error) {
	defer n.ask("drops")()
	return []control.Drop{
		{Reason: "no_backend", Packets: 17, Bytes: 1020, Text: "no backend of the service is up"},
		{Reason: "fragment", Text: "fragments are not steered"},
	}, nil
}

func (n *fakeNode) Bans(context.Context) (control.BanList, error) {
	defer n.ask("bans")()
	end := epoch.Add(time.Hour)
	return control.BanList{
		Bans: []control.Ban{
			{Prefix: netip.MustParsePrefix("203.0.113.7/32"), Reason: "scans", Since: epoch, Until: &end, Packets: 12, Bytes: 720},
			{Prefix: netip.MustParsePrefix("2001:db8:bad::/64"), Since: epoch},
		},
		Denied: []control.Rule{{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Packets: 3, Bytes: 180}},
		Exempt: []control.Rule{{Prefix: netip.MustParsePrefix("198.51.100.9/32"), Packets: 1, Bytes: 60}},
	}, nil
}

func (n *fakeNode) Ban(_ context.Context, p netip.Prefix, q control.BanRequest) (control.BanResult, error) {
	defer n.ask("ban %s for=%s reason=%q kill=%t", p, time.Duration(q.For), q.Reason, q.Kill)()
	if p.Addr().IsPrivate() {
		return control.BanResult{}, control.NewError(control.CodeInvalid, "ban "+p.String()+": the settings exempt it (guard.exempt)", "ban something else")
	}
	r := control.BanResult{Ban: control.Ban{Prefix: p, Since: epoch}, FlowsKilled: 2}
	if q.For > 0 {
		end := epoch.Add(time.Duration(q.For))
		r.Ban.Until = &end
	}
	return r, nil
}

func (n *fakeNode) Unban(_ context.Context, p netip.Prefix) (bool, error) {
	defer n.ask("unban %s", p)()
	return p.Addr() == netip.MustParseAddr("203.0.113.7"), nil
}

func (n *fakeNode) Flows(_ context.Context, q control.FlowQuery) (control.FlowPage, error) {
	defer n.ask("flows %s", q.Values().Encode())()
	flow := control.Flow{
		Client: netip.MustParseAddrPort("198.51.100.7:40022"), Listen: netip.MustParseAddrPort("192.0.2.3:22"),
		Service: "sftp", Backend: "blue1", BackendAddr: netip.MustParseAddrPort("10.0.0.11:22"),
		Source: netip.MustParseAddrPort("192.0.2.3:1025"), State: control.FlowEstablished,
		Age: control.Seconds(50 * time.Hour), Idle: control.Seconds(2500 * time.Millisecond),
	}
	return control.FlowPage{Flows: []control.Flow{flow}, Total: 3, Offset: q.Offset, AsOf: epoch.Add(-time.Hour)}, nil
}

// change applies f to what s selects.
func (n *fakeNode) change(s control.Selection, f func(*control.Backend)) ([]control.BackendChange, error) {
	var changes []control.BackendChange
	for _, name := range s.Backends {
		if !slices.ContainsFunc(n.backends, func(b control.Backend) bool { return b.Name == name }) {
			return nil, control.NewError(control.CodeNotFound, fmt.Sprintf("no backend %q", name), `"sluice show backends" lists them`)
		}
	}
	for i := range n.backends {
		b := &n.backends[i]
		if !s.All && !slices.Contains(s.Backends, b.Name) || s.Service != "" && !slices.Contains(b.Services, s.Service) {
			continue
		}
		was := *b
		f(b)
		changes = append(changes, control.BackendChange{
			Name: b.Name, Addr: b.Addr, Services: b.Services, StateWas: was.State, State: b.State,
			WeightWas: was.Weight, Weight: b.Weight, FlowsNow: b.FlowsNow,
		})
	}
	return changes, nil
}

func (n *fakeNode) Drain(_ context.Context, s control.Selection, o control.DrainOptions) ([]control.BackendChange, error) {
	defer n.ask("drain %v %s deadline=%v idle=%v", s.Backends, s.Service, time.Duration(o.Deadline), time.Duration(o.IdleDone))()
	if s.All && !o.Yes {
		return nil, control.NewError(control.CodeLastBackend, `service "sftp" would have no backend that is up`, "")
	}
	return n.change(s, func(b *control.Backend) { b.State = control.StateDraining })
}

func (n *fakeNode) Disable(_ context.Context, s control.Selection, yes bool) ([]control.BackendChange, error) {
	defer n.ask("disable %v yes=%t", s.Backends, yes)()
	return n.change(s, func(b *control.Backend) { b.State = control.StateDisabled })
}

func (n *fakeNode) Enable(_ context.Context, s control.Selection) ([]control.BackendChange, error) {
	defer n.ask("enable %v", s.Backends)()
	return n.change(s, func(b *control.Backend) { b.State = control.StateUp })
}

func (n *fakeNode) SetWeight(_ context.Context, s control.Selection, weight int, yes bool) ([]control.BackendChange, error) {
	defer n.ask("weight %v %d yes=%t", s.Backends, weight, yes)()
	return n.change(s, func(b *control.Backend) { b.Weight = weight })
}

func (n *fakeNode) Settings(context.Context) (control.Settings, error) {
	defer n.ask("settings")()
	return control.Settings{SettingsState: n.state(), AppliedAt: epoch, Text: n.text}, nil
}

func (n *fakeNode) Diff(_ context.Context, f control.SettingsFile) ([]control.Change, error) {
	defer n.ask("diff %s", f.File)()
	return n.diff(f)
}

func (n *fakeNode) diff(f control.SettingsFile) ([]control.Change, error) {
	parse := func(text string) (*config.Settings, error) {
		return config.Parse(f.File, []byte(text), config.Hostname("gw-a"))
	}
	next, err := parse(f.Text)
	if err != nil {
		return nil, &control.Error{Code: control.CodeInvalidSettings, Message: "settings have faults", Hint: "nothing was changed; correct the file",
			Details: strings.Split(err.Error(), "\n")}
	}
	now, err := parse(n.text)
	if err != nil {
		return nil, err
	}
	var changes []control.Change
	for _, c := range config.Diff(now, next) {
		changes = append(changes, control.Change(c))
	}
	return changes, nil
}

func (n *fakeNode) Apply(_ context.Context, f control.SettingsFile, force bool) (control.ApplyResult, error) {
	defer n.ask("apply %s force=%t", f.File, force)()
	changes, err := n.diff(f)
	if err != nil || len(changes) == 0 {
		return control.ApplyResult{Generation: n.generation}, err
	}
	if !force && strings.Contains(f.Text, "stale") {
		return control.ApplyResult{}, control.NewError(control.CodeConflict, "generation 47 is newer than the file", "look at both with \"sluice settings diff\"; --force takes the file")
	}
	n.generation++
	n.text = cmp.Or(f.Text, n.text)
	return control.ApplyResult{Generation: n.generation, Changed: true, Changes: changes}, nil
}

func (n *fakeNode) Explain(_ context.Context, client, listen netip.AddrPort) (control.Explanation, error) {
	defer n.ask("explain %v %v", client, listen)()
	x := control.Explanation{
		Client: client, Listen: netip.MustParseAddrPort("192.0.2.3:22"), Service: "sftp", Mode: "nat", Verdict: "forward",
		Backend: "blue1", BackendAddr: netip.MustParseAddrPort("10.0.0.11:22"), RingEntry: 4711,
		Steps:   []string{"no flow of this client is known", "it falls on ring entry 4711, which names blue1"},
		Program: []string{"a connection begins with blue1", "verdict XDP_REDIRECT"},
	}
	if listen.Port() == 2022 {
		x = control.Explanation{Client: client, Listen: listen, Service: "sftp", Verdict: "drop", Reason: "no_backend", Steps: []string{"no backend is up"}}
	}
	return x, nil
}
