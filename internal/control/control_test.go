package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestCalls drives every method of the client against the real server on a
// real socket, and looks at what reached the sources.
func TestCalls(t *testing.T) {
	m := &memory{}
	c := dial(t, serve(t, New(m.options())))
	ctx := context.Background()
	blue := Selection{Backends: []string{"blue[1-2]", "blue2"}}
	file := SettingsFile{File: "f.yaml", Text: "services: []\n"}
	client, listen := netip.MustParseAddrPort("198.51.100.7:40022"), netip.MustParseAddrPort("192.0.2.3:22")
	for _, tt := range []struct {
		call func() error
		want string
	}{
		{func() error { _, err := c.Status(ctx); return err }, "clusters"},
		{func() error { _, err := c.Alarms(ctx); return err }, "clusters"},
		{func() error { _, err := c.VirtualClusters(ctx); return err }, "clusters"},
		{func() error { _, err := c.History(ctx, HistoryQuery{}); return err }, "history {Cluster: Limit:100}"},
		{func() error { _, err := c.History(ctx, HistoryQuery{Cluster: "edge", Limit: 7}); return err }, "history {Cluster:edge Limit:7}"},
		{func() error {
			_, err := c.Swap(ctx, VIPOrder{Clusters: []string{"edge"}, For: Duration(time.Hour)})
			return err
		}, "swap [edge] all=false for=1h0m0s yes=false"},
		{func() error { _, err := c.Resign(ctx, VIPOrder{All: true, Yes: true}); return err }, "resign [] all=true for=0s yes=true"},
		{func() error {
			_, err := c.ExplainFail(ctx, FailQuestion{Kind: FailPing, Name: "fd00::1", Cluster: "edge"})
			return err
		}, `explain fail "ping" "fd00::1" "edge"`},
		{func() error { _, err := c.ExplainFail(ctx, FailQuestion{Name: "fd00::1"}); return err }, `explain fail "" "fd00::1" ""`},
		{func() error { _, err := c.Nodes(ctx); return err }, "nodes"},
		{func() error { _, err := c.Services(ctx); return err }, "services"},
		{func() error { _, err := c.Backends(ctx); return err }, "backends"},
		{func() error { _, err := c.Drops(ctx); return err }, "drops"},
		{func() error { _, err := c.Settings(ctx); return err }, "settings"},
		{func() error { _, err := c.Flows(ctx, FlowQuery{Service: "sftp", MinIdle: time.Minute}); return err },
			"flows {Service:sftp Backend: Client:invalid Prefix State: MinIdle:1m0s Sort:client Descending:false Offset:0 Limit:100}"},
		{func() error { _, err := c.Explain(ctx, client, listen); return err }, "explain 198.51.100.7:40022 192.0.2.3:22"},
		{func() error { _, err := c.Explain(ctx, client, netip.AddrPort{}); return err }, "explain 198.51.100.7:40022 invalid AddrPort"},
		{func() error { _, err := c.Diff(ctx, file); return err }, `diff f.yaml "services: []\n"`},
		{func() error { _, err := c.Apply(ctx, file, true); return err }, `apply f.yaml "services: []\n" force=true`},
		{func() error {
			_, err := c.Drain(ctx, blue, DrainOptions{Deadline: Duration(time.Hour), IdleDone: Duration(time.Minute), Yes: true})
			return err
		}, "drain {Backends:[blue1 blue2] All:false Service:} deadline=1h0m0s idle_done=1m0s yes=true"},
		{func() error {
			_, err := c.Drain(ctx, Selection{All: true, Service: "sftp"}, DrainOptions{})
			return err
		},
			"drain {Backends:[] All:true Service:sftp} deadline=0s idle_done=0s yes=false"},
		{func() error { _, err := c.Disable(ctx, blue, true); return err }, "disable {Backends:[blue1 blue2] All:false Service:} yes=true"},
		{func() error { _, err := c.Enable(ctx, blue); return err }, "enable {Backends:[blue1 blue2] All:false Service:}"},
		{func() error { _, err := c.SetWeight(ctx, blue, 0, true); return err }, "weight {Backends:[blue1 blue2] All:false Service:} 0 yes=true"},
		{func() error { _, err := c.Bans(ctx); return err }, "bans"},
		{func() error {
			_, err := c.Ban(ctx, BanRequest{Prefix: "2001:db8::7", For: Duration(time.Hour), Reason: "scans", Kill: true})
			return err
		}, "ban 2001:db8::/64 for=1h0m0s reason=scans kill=true"},
		{func() error { _, err := c.Unban(ctx, "192.0.2.7"); return err }, "unban 192.0.2.7/32"},
	} {
		if err := tt.call(); err != nil {
			t.Errorf("%s: %v", tt.want, err)
		}
		if got := m.last(); got != tt.want {
			t.Errorf("the source was asked\n  %s, want\n  %s", got, tt.want)
		}
	}
	if b, err := c.Version(ctx); err != nil || b.Version != "v1.2.3" {
		t.Errorf("version %+v, %v", b, err)
	}
}

func TestAnswersArriveWhole(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	m := &memory{
		status:   Status{Node: "gw-a", StartedAt: at, Uptime: Seconds(time.Hour), Totals: Totals{BytesIn: 1<<64 - 1}},
		backends: []Backend{{Name: "blue<1>", Addr: netip.MustParseAddrPort("[fd00::1]:22"), State: StateUp, Since: at, Services: []string{"a"}}},
		page:     FlowPage{Total: 7, Offset: 3, AsOf: at, Flows: []Flow{{Client: netip.MustParseAddrPort("192.0.2.7:1"), Age: Seconds(time.Second)}}},
	}
	c := dial(t, serve(t, New(m.options())))
	ctx := context.Background()
	status, err := c.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := m.status
	// Empty lists arrive as empty, which go-cmp tells from nil.
	want.Processes, want.Attachments, want.Alarms, want.Decap = List[Process]{}, List[Attachment]{}, List[Alarm]{}, List[DecapVerdict]{}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	backends, err := c.Backends(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(BackendList{m.backends}, backends, compareAddresses); diff != "" {
		t.Errorf("backends (-want +got):\n%s", diff)
	}
	page, err := c.Flows(ctx, FlowQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m.page, page, compareAddresses); diff != "" {
		t.Errorf("flows (-want +got):\n%s", diff)
	}
}

// TestErrorsArriveWhole checks each code's status and that hint and details
// survive the way.
func TestErrorsArriveWhole(t *testing.T) {
	m := &memory{}
	c := dial(t, serve(t, New(m.options())))
	for code, status := range map[Code]int{
		CodeInvalid: 400, CodeInvalidSettings: 400, CodeForbidden: 403, CodeNotFound: 404, CodeMethodNotAllowed: 405,
		CodeConflict: 409, CodeLastBackend: 409, CodeNoPeer: 409, CodeTooLarge: 413, CodeInternal: 500, CodeUnavailable: 503, "of_tomorrow": 500,
	} {
		if got := code.status(); got != status {
			t.Errorf("%s travels as %d, want %d", code, got, status)
		}
		want := &Error{Code: code, Message: "it failed", Hint: "do this", Details: []string{"one", "two"}}
		m.fail = want
		_, err := c.Status(context.Background())
		var got *Error
		if !errors.As(err, &got) {
			t.Errorf("%s: error %v", code, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	for err, code := range map[error]Code{
		errors.New("map is gone"): CodeInternal,
		context.DeadlineExceeded:  CodeUnavailable,
	} {
		m.fail = err
		if _, got := c.Status(context.Background()); !IsCode(got, code) {
			t.Errorf("%v arrives as %v, want code %s", err, got, code)
		}
	}
}

// TestRefusedRequests sends what the client would never send.
func TestRefusedRequests(t *testing.T) {
	m := &memory{}
	c := dial(t, serve(t, New(m.options())))
	for _, tt := range []struct {
		method, path, body string
		status             int
		message            string
	}{
		{"GET", "/", "", 404, "no such path"},
		{"GET", "/v1", "", 404, "no such path"},
		{"GET", "/v2/status", "", 404, "no such path"},
		{"POST", "/v1/status", "", 405, "takes GET only"},
		{"GET", "/v1/backends/drain", "", 405, "takes POST only"},
		{"DELETE", "/v1/events", "", 405, "takes GET only"},
		{"GET", "/v1/flows?colour=red", "", 400, "unknown"},
		{"GET", "/v1/events?kind=red", "", 400, "unknown kind"},
		{"POST", "/v1/vips", "", 405, "takes GET only"},
		{"GET", "/v1/vips/swap", "", 405, "takes POST only"},
		{"POST", "/v1/vips/swap", "{}", 400, "named virtual clusters or for all"},
		{"POST", "/v1/vips/resign", `{"clusters":["a"],"all":true}`, 400, "named virtual clusters or for all"},
		{"POST", "/v1/vips/resign", `{"all":true,"for":"-1s"}`, 400, "must not be negative"},
		{"POST", "/v1/vips/resign", `{"all":true,"force":true}`, 400, "unknown field"},
		{"GET", "/v1/history?limit=0", "", 400, "not a number within 1 to 10000"},
		{"GET", "/v1/history?limit=10001", "", 400, "not a number within 1 to 10000"},
		{"GET", "/v1/history?since=1h", "", 400, "unknown"},
		{"GET", "/v1/explain/fail", "", 400, "names nothing"},
		{"GET", "/v1/explain/fail?fail=link:", "", 400, "names nothing"},
		{"GET", "/v1/explain/fail?fail=a%20b", "", 400, "names nothing"},
		{"GET", "/v1/explain/fail?fail=a&flow=b", "", 400, "unknown"},
		{"GET", "/v1/explain", "", 400, `"flow": missing`},
		{"GET", "/v1/explain?flow=login:22", "", 400, "not an address and port"},
		{"GET", "/v1/explain?flow=192.0.2.7:1&to=22", "", 400, "not an address and port"},
		{"POST", "/v1/backends/drain", "", 400, "empty body"},
		{"POST", "/v1/backends/drain", "{}", 400, "named backends or for all"},
		{"POST", "/v1/backends/drain", "null", 400, "named backends or for all"},
		{"POST", "/v1/backends/drain", `{"backends":["a"],"all":true}`, 400, "named backends or for all"},
		{"POST", "/v1/backends/drain", `{"backends":["a["]}`, 400, "expand node set"},
		{"POST", "/v1/backends/drain", `{"backends":["a[1-16384]","b"]}`, 400, "more than 16384"},
		{"POST", "/v1/backends/drain", `{"backends":["a"],"weight":1}`, 400, "unknown field"},
		{"POST", "/v1/backends/drain", `{"backends":["` + strings.Repeat("a", maxOrderBody) + `"]}`, 413, "more than 262144 bytes"},
		{"POST", "/v1/backends/weight", `{"backends":["a"]}`, 400, `"weight": missing`},
		{"POST", "/v1/backends/weight", `{"backends":["a"],"weight":-1}`, 400, "not within 0 to 1000"},
		{"POST", "/v1/backends/weight", `{"backends":["a"],"weight":1001}`, 400, "not within 0 to 1000"},
		{"POST", "/v1/backends/weight", `{"backends":["a"],"weight":1.5}`, 400, `"weight"`},
		{"POST", "/v1/settings/apply", `{"text":""} {}`, 400, "after the JSON object"},
	} {
		name := tt.method + " " + tt.path + " " + tt.body[:min(len(tt.body), 40)]
		r, err := http.NewRequest(tt.method, "http://sluice"+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := c.http.Do(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var e Error
		err = json.NewDecoder(response.Body).Decode(&e)
		_ = response.Body.Close()
		if err != nil || response.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: answer is no JSON: %v", name, err)
		}
		if response.StatusCode != tt.status || !strings.Contains(e.Message, tt.message) {
			t.Errorf("%s: %d %q, want %d with %q", name, response.StatusCode, e.Message, tt.status, tt.message)
		}
	}
	if asked := m.last(); asked != "" {
		t.Errorf("a refused request reached a source: %s", asked)
	}
}

// TestServeFinishesCalls stops the server while a call is under way: the call
// still gets its answer.
func TestServeFinishesCalls(t *testing.T) {
	m := &memory{}
	o := m.options()
	slow := &slowStatus{memory: m, entered: make(chan struct{}), leave: make(chan struct{})}
	o.Status = slow
	ctx, cancel := context.WithCancel(context.Background())
	l, err := Listen(t.TempDir() + "/c.sock")
	if err != nil {
		t.Fatal(err)
	}
	served, answered := make(chan error, 1), make(chan error, 1)
	go func() { served <- New(o).Serve(ctx, l) }()
	c := dial(t, l.path)
	go func() { _, err := c.Status(context.Background()); answered <- err }()
	<-slow.entered
	cancel()
	close(slow.leave)
	if err := <-answered; err != nil {
		t.Errorf("the call under way: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	_, err = c.Status(context.Background())
	if _, ok := errors.AsType[*UnreachableError](err); !ok {
		t.Errorf("after the end: error %v, want an UnreachableError", err)
	}
}

type slowStatus struct {
	*memory
	entered, leave chan struct{}
}

func (s *slowStatus) Status(ctx context.Context) (Status, error) {
	close(s.entered)
	<-s.leave
	return Status{}, ctx.Err()
}

func TestServeReportsALostListener(t *testing.T) {
	l, err := Listen(t.TempDir() + "/c.sock")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := New((&memory{}).options()).Serve(context.Background(), l); err == nil {
		t.Error("Serve on a closed listener returned nil")
	}
}

// TestServeCutsOffSilentPeers holds a connection with half a request; it must
// not keep the server from ending.
func TestServeCutsOffSilentPeers(t *testing.T) {
	s := New((&memory{}).options())
	s.grace = time.Millisecond
	l, err := Listen(t.TempDir() + "/c.sock")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", l.path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET /v1/status HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	// A call on a second connection shows that the first was accepted.
	if _, err := dial(t, l.path).Status(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(headerTimeout / 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the silent peer reads %v, want to be cut off", err)
	}
}

func TestOrdersAreLogged(t *testing.T) {
	var log bytes.Buffer
	m := &memory{}
	o := m.options()
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s := New(o)
	// The handler is called directly, so that the log is written before the
	// test reads it.
	ask := func(body string) {
		r, err := http.NewRequest(http.MethodPost, "/v1/backends/enable", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.WithValue(context.Background(), peerKey{}, peer{uid: 0, pid: 4711})
		s.routes(context.Background()).ServeHTTP(discardResponse{}, r.WithContext(ctx))
	}
	ask(`{"backends":["blue"]}`)
	ask(`{}`)
	for _, want := range []string{
		`msg="carried out order" path=/v1/backends/enable uid=0 pid=4711`,
		`msg="refused order" path=/v1/backends/enable uid=0 pid=4711 err="an order is for`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %s:\n%s", want, log.String())
		}
	}
}

type discardResponse struct{}

func (discardResponse) Header() http.Header         { return http.Header{} }
func (discardResponse) Write(p []byte) (int, error) { return len(p), nil }
func (discardResponse) WriteHeader(int)             {}

func TestNewPanicsWithoutSources(t *testing.T) {
	o := (&memory{}).options()
	o.Weigher = nil
	defer func() {
		if got := recover(); got != "control: Options.Weigher is nil" {
			t.Errorf("panic %v", got)
		}
	}()
	New(o)
}
