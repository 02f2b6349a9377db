package control

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// memory is a node that answers what a test put into it and remembers what it
// was asked.
type memory struct {
	mu    sync.Mutex
	asked []string
	fail  error

	status   Status
	services []Service
	backends []Backend
	page     FlowPage
	changes  []BackendChange
	clusters []VirtualCluster
	// noClusters fails what is asked of virtual clusters alone.
	noClusters error
}

func (m *memory) ask(format string, args ...any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, fmt.Sprintf(format, args...))
	return m.fail
}

// last returns the latest question, "" before the first.
func (m *memory) last() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.asked) == 0 {
		return ""
	}
	return m.asked[len(m.asked)-1]
}

func (m *memory) Status(context.Context) (Status, error)      { return m.status, m.ask("status") }
func (m *memory) Nodes(context.Context) ([]Node, error)       { return nil, m.ask("nodes") }
func (m *memory) Services(context.Context) ([]Service, error) { return m.services, m.ask("services") }
func (m *memory) Backends(context.Context) ([]Backend, error) { return m.backends, m.ask("backends") }
func (m *memory) Drops(context.Context) ([]Drop, error)       { return nil, m.ask("drops") }

func (m *memory) Flows(_ context.Context, q FlowQuery) (FlowPage, error) {
	return m.page, m.ask("flows %+v", q)
}

func (m *memory) Drain(_ context.Context, s Selection, o DrainOptions) ([]BackendChange, error) {
	return m.changes, m.ask("drain %+v deadline=%v idle_done=%v yes=%t", s, time.Duration(o.Deadline), time.Duration(o.IdleDone), o.Yes)
}

func (m *memory) Disable(_ context.Context, s Selection, yes bool) ([]BackendChange, error) {
	return m.changes, m.ask("disable %+v yes=%t", s, yes)
}

func (m *memory) Enable(_ context.Context, s Selection) ([]BackendChange, error) {
	return m.changes, m.ask("enable %+v", s)
}

func (m *memory) SetWeight(_ context.Context, s Selection, weight int, yes bool) ([]BackendChange, error) {
	return m.changes, m.ask("weight %+v %d yes=%t", s, weight, yes)
}

func (m *memory) Bans(context.Context) (BanList, error) { return BanList{}, m.ask("bans") }

func (m *memory) Ban(_ context.Context, p netip.Prefix, q BanRequest) (BanResult, error) {
	return BanResult{Ban: Ban{Prefix: p}}, m.ask("ban %s for=%s reason=%s kill=%t", p, time.Duration(q.For), q.Reason, q.Kill)
}

func (m *memory) Unban(_ context.Context, p netip.Prefix) (bool, error) {
	return true, m.ask("unban %s", p)
}

func (m *memory) Settings(context.Context) (Settings, error) {
	return Settings{Text: "services: []\n"}, m.ask("settings")
}

func (m *memory) Diff(_ context.Context, f SettingsFile) ([]Change, error) {
	return nil, m.ask("diff %s %q", f.File, f.Text)
}

func (m *memory) Apply(_ context.Context, f SettingsFile, force bool) (ApplyResult, error) {
	return ApplyResult{Generation: 2, Changed: true}, m.ask("apply %s %q force=%t", f.File, f.Text, force)
}

func (m *memory) Explain(_ context.Context, client, listen netip.AddrPort) (Explanation, error) {
	return Explanation{Client: client, Listen: listen}, m.ask("explain %v %v", client, listen)
}

func (m *memory) VirtualClusters(context.Context) ([]VirtualCluster, error) {
	return m.clusters, errors.Join(m.noClusters, m.ask("clusters"))
}

func (m *memory) History(_ context.Context, q HistoryQuery) ([]StateChange, error) {
	return nil, m.ask("history %+v", q)
}

func (m *memory) Swap(_ context.Context, o VIPOrder) ([]VIPChange, error) {
	return nil, m.ask("swap %v all=%t for=%v yes=%t", o.Clusters, o.All, time.Duration(o.For), o.Yes)
}

func (m *memory) Resign(_ context.Context, o VIPOrder) ([]VIPChange, error) {
	return nil, m.ask("resign %v all=%t for=%v yes=%t", o.Clusters, o.All, time.Duration(o.For), o.Yes)
}

func (m *memory) ExplainFail(_ context.Context, q FailQuestion) (FailExplanation, error) {
	return FailExplanation{Kind: FailNode}, m.ask("explain fail %q %q %q", q.Kind, q.Name, q.Cluster)
}

func (m *memory) options() Options {
	return Options{
		Build: Build{Version: "v1.2.3", API: "v1"}, Status: m, Counters: m, Flows: m,
		Drainer: m, Weigher: m, Guardian: m, Settings: m, Explain: m, Failover: m, Events: NewBroker(func(bool) {}),
	}
}

// serve runs s on a socket of its own until the test ends.
func serve(t *testing.T, s *Server) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "c.sock")
	l, err := Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return socket
}

// dial returns a client that is closed before the server ends.
func dial(t *testing.T, socket string) *Client {
	t.Helper()
	c := NewClient(socket)
	t.Cleanup(c.Close)
	return c
}
