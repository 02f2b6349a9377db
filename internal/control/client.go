package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"
)

// maxAnswer bounds what the client reads: a page of flows is 4 MB at most.
const maxAnswer = 64 << 20

// answerTimeout is longer than the node takes for any call, so that its own
// words about being late are heard first.
const answerTimeout = callTimeout + 5*time.Second

// A Client speaks to one node through its control socket. It may be used by
// many goroutines at once.
//
// Every method may return an [*UnreachableError] where nobody answers at the
// socket, or not in time, the [*Error] the node answered, or context.Canceled.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns a Client for the socket at path. It connects when first
// used. Close releases its connections.
func NewClient(path string) *Client {
	var dialer net.Dialer
	return &Client{socket: path, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		},
		DisableCompression: true, // the bytes do not leave the machine
		IdleConnTimeout:    idleTimeout,
	}}}
}

// Close releases idle connections; streams end by their own Close.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Version returns the build of the node.
func (c *Client) Version(ctx context.Context) (Build, error) {
	return get[Build](ctx, c, "/v1/version", nil)
}

// Status returns how the node is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return get[Status](ctx, c, "/v1/status", nil)
}

// Nodes returns the nodes of the cluster.
func (c *Client) Nodes(ctx context.Context) (NodeList, error) {
	return get[NodeList](ctx, c, "/v1/nodes", nil)
}

// Services returns the services with their counters.
func (c *Client) Services(ctx context.Context) (ServiceList, error) {
	return get[ServiceList](ctx, c, "/v1/services", nil)
}

// Backends returns the backends with their states and counters.
func (c *Client) Backends(ctx context.Context) (BackendList, error) {
	return get[BackendList](ctx, c, "/v1/backends", nil)
}

// Drops returns the drop reasons with their counters.
func (c *Client) Drops(ctx context.Context) (DropList, error) {
	return get[DropList](ctx, c, "/v1/drops", nil)
}

// Flows returns one page of flows.
func (c *Client) Flows(ctx context.Context, q FlowQuery) (FlowPage, error) {
	return get[FlowPage](ctx, c, "/v1/flows", q.Values())
}

// Explain tells where a packet of client to listen goes; a zero listen leaves
// the choice to the node.
func (c *Client) Explain(ctx context.Context, client, listen netip.AddrPort) (Explanation, error) {
	v := url.Values{"flow": {client.String()}}
	if listen.IsValid() {
		v.Set("to", listen.String())
	}
	return get[Explanation](ctx, c, "/v1/explain", v)
}

// Settings returns what the node runs with.
func (c *Client) Settings(ctx context.Context) (Settings, error) {
	return get[Settings](ctx, c, "/v1/settings", nil)
}

// Diff returns what Apply would change.
func (c *Client) Diff(ctx context.Context, f SettingsFile) (DiffResult, error) {
	return post[DiffResult](ctx, c, "/v1/settings/diff", f)
}

// Apply makes f the next generation; see [SettingsStore] for force.
func (c *Client) Apply(ctx context.Context, f SettingsFile, force bool) (ApplyResult, error) {
	return post[ApplyResult](ctx, c, "/v1/settings/apply", ApplyRequest{f, force})
}

// Drain lets nothing new reach the backends; see [Drainer]. Here and below the
// selection may name node sets.
func (c *Client) Drain(ctx context.Context, s Selection, o DrainOptions) (ChangeList, error) {
	return post[ChangeList](ctx, c, "/v1/backends/drain", DrainRequest{s, o})
}

// Disable lets nothing new reach the backends and stops their health checks.
func (c *Client) Disable(ctx context.Context, s Selection, yes bool) (ChangeList, error) {
	return post[ChangeList](ctx, c, "/v1/backends/disable", DisableRequest{s, yes})
}

// Enable takes a drain or disable back.
func (c *Client) Enable(ctx context.Context, s Selection) (ChangeList, error) {
	return post[ChangeList](ctx, c, "/v1/backends/enable", EnableRequest{s})
}

// SetWeight changes the backends' share of new flows.
func (c *Client) SetWeight(ctx context.Context, s Selection, weight int, yes bool) (ChangeList, error) {
	return post[ChangeList](ctx, c, "/v1/backends/weight", WeightRequest{s, &weight, yes})
}

// Bans returns who is kept out.
func (c *Client) Bans(ctx context.Context) (BanList, error) {
	return get[BanList](ctx, c, "/v1/bans", nil)
}

// Ban keeps new connections of a prefix out.
func (c *Client) Ban(ctx context.Context, q BanRequest) (BanResult, error) {
	return post[BanResult](ctx, c, "/v1/bans/add", q)
}

// Unban takes a ban back.
func (c *Client) Unban(ctx context.Context, prefix string) (UnbanResult, error) {
	return post[UnbanResult](ctx, c, "/v1/bans/remove", UnbanRequest{prefix})
}

// VirtualClusters returns the virtual clusters with all that is known of them.
func (c *Client) VirtualClusters(ctx context.Context) (VirtualClusterList, error) {
	return get[VirtualClusterList](ctx, c, "/v1/vips", nil)
}

// Alarms returns what needs an operator, worst first.
func (c *Client) Alarms(ctx context.Context) (AlarmList, error) {
	return get[AlarmList](ctx, c, "/v1/alarms", nil)
}

// History returns changes of state, the latest first.
func (c *Client) History(ctx context.Context, q HistoryQuery) (History, error) {
	return get[History](ctx, c, "/v1/history", q.Values())
}

// Swap has the active gateway and another one change places.
func (c *Client) Swap(ctx context.Context, o VIPOrder) (VIPChangeList, error) {
	return post[VIPChangeList](ctx, c, "/v1/vips/swap", o)
}

// Resign has the node give VIPs up.
func (c *Client) Resign(ctx context.Context, o VIPOrder) (VIPChangeList, error) {
	return post[VIPChangeList](ctx, c, "/v1/vips/resign", o)
}

// ExplainFail tells who would be active if something failed.
func (c *Client) ExplainFail(ctx context.Context, q FailQuestion) (FailExplanation, error) {
	return get[FailExplanation](ctx, c, "/v1/explain/fail", q.Values())
}

func get[T any](ctx context.Context, c *Client, path string, v url.Values) (T, error) {
	var answer T
	err := c.exchange(ctx, http.MethodGet, path, v, nil, &answer)
	return answer, err
}

func post[T any](ctx context.Context, c *Client, path string, request any) (T, error) {
	var answer T
	body, err := json.Marshal(request)
	if err != nil {
		return answer, fmt.Errorf("encode request: %v", err)
	}
	err = c.exchange(ctx, http.MethodPost, path, nil, body, &answer)
	return answer, err
}

// exchange sends one request and decodes the answer into v. Fields that a
// newer node sends and this program does not know are ignored.
func (c *Client) exchange(ctx context.Context, method, path string, query url.Values, body []byte, v any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	r, err := c.open(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer func() { _ = r.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(r.Body, maxAnswer+1))
	if err != nil {
		return c.failure(ctx, err)
	}
	if len(data) > maxAnswer {
		return fmt.Errorf("read answer of node: more than %d bytes", maxAnswer)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read answer of node: %v", err)
	}
	return nil
}

// open sends one request and returns the response, which is a success.
func (c *Client) open(ctx context.Context, method, path string, query url.Values, body []byte) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: "sluice", Path: path, RawQuery: query.Encode()}
	r, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("build request: %v", err)
	}
	response, err := c.http.Do(r)
	if err != nil {
		return nil, c.failure(ctx, err)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer func() { _ = response.Body.Close() }()
	return nil, readError(response)
}

// failure strips what net/http wraps around the cause: the URL says nothing
// to a person, the socket does.
func (c *Client) failure(ctx context.Context, err error) error {
	switch ctx.Err() {
	case context.Canceled:
		return context.Canceled
	case context.DeadlineExceeded:
		return &UnreachableError{c.socket, os.ErrDeadlineExceeded}
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return &UnreachableError{c.socket, dial.Err}
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return &UnreachableError{c.socket, err}
}

// readError reads the Error in an answer; whatever answers in another form is
// not a node of ours.
func readError(r *http.Response) error {
	data, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("read answer of node: %v", err)
	}
	var e Error
	if json.Unmarshal(data, &e) != nil || e.Message == "" {
		return fmt.Errorf("read answer of node: status %d and no reason; is this socket a node's?", r.StatusCode)
	}
	return &e
}
