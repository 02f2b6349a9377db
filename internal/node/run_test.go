package node

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/internal/control"
	"sluice/internal/nettest"
	"sluice/internal/node/process"
)

// talk opens a connection through the VIP and says something over it.
func (r *rig) talk() *talk {
	r.t.Helper()
	conn, err := r.Client.Dial(r.t.Context(), r.vip())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	k := &talk{t: r.t, conn: conn}
	banner := k.read(len("SSH-2.0-b1\r\n"))
	k.who = strings.TrimSpace(strings.TrimPrefix(banner, "SSH-2.0-"))
	k.goesOn()
	return k
}

// talk is a living connection through the VIP.
type talk struct {
	t    *testing.T
	conn net.Conn
	who  string
}

func (k *talk) read(n int) string {
	k.t.Helper()
	_ = k.conn.SetDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, n)
	if _, err := io.ReadFull(k.conn, b); err != nil {
		k.t.Fatalf("the connection to %s broke: %v", k.who, err)
	}
	return string(b)
}

// goesOn fails the test unless the far end still echoes.
func (k *talk) goesOn() {
	k.t.Helper()
	_ = k.conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := k.conn.Write([]byte("ping")); err != nil {
		k.t.Fatalf("the connection to %s broke: %v", k.who, err)
	}
	if got := k.read(4); got != "ping" {
		k.t.Fatalf("%s answers %q", k.who, got)
	}
}

// attached says how ext0 carries a program.
func (r *rig) attached() bool {
	r.t.Helper()
	var found bool
	err := r.GW.Do(func() error {
		link, err := netlink.LinkByName(nettest.OutsideLink)
		if err == nil {
			found = link.Attrs().Xdp != nil && link.Attrs().Xdp.Attached
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

// pinned are the folders of pins; beside them the kernel puts files of its own.
func (r *rig) pinned() []string {
	r.t.Helper()
	entries, err := os.ReadDir(r.pins())
	if err != nil {
		r.t.Fatal(err)
	}
	var folders []string
	for _, e := range entries {
		if e.IsDir() {
			folders = append(folders, e.Name())
		}
	}
	return folders
}

// One node from its first start to its real stop: what it may do, what it
// steers, what it tells, and that it leaves nothing behind.
func TestNodeLife(t *testing.T) {
	r := newRig(t, nettest.GatewayOptions{})
	r.write(r.settings(r.login(0, 1, 2)))
	s := r.start()
	status := r.up(3)

	t.Run("rights", func(t *testing.T) { checkRights(t, status) })
	t.Run("steers", func(t *testing.T) {
		who := r.banners(60)
		if len(who) != 3 || who["b1"]+who["b2"]+who["b3"] != 60 {
			t.Errorf("60 connections reached %v", who)
		}
	})
	t.Run("counts", func(t *testing.T) {
		list, err := r.client.Services(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Services) != 1 || list.Services[0].FlowsOpened < 60 || list.Services[0].Mode != "nat" {
			t.Errorf("services %+v", list.Services)
		}
		if drops, err := r.client.Drops(t.Context()); err != nil || len(drops.Drops) == 0 || drops.Drops[0].Text == "" {
			t.Errorf("drops %+v, %v", drops, err)
		}
		if nodes, err := r.client.Nodes(t.Context()); err != nil || len(nodes.Nodes) != 1 || nodes.Nodes[0].Name != "gw-a" || !nodes.Nodes[0].Self {
			t.Errorf("nodes %+v, %v", nodes, err)
		}
	})
	t.Run("metrics", func(t *testing.T) { r.checkMetrics(t) })
	t.Run("orders", func(t *testing.T) { r.checkOrders(t) })
	t.Run("stop", func(t *testing.T) {
		s.signal(syscall.SIGTERM)
		if code := s.ended(); code != 0 {
			t.Errorf("exit %d", code)
		}
		if r.attached() {
			t.Error("XDP is still on the interface")
		}
		if left := r.pinned(); len(left) != 0 {
			t.Errorf("pins left: %v", left)
		}
		if _, err := os.Stat(filepath.Join(r.base, "run", "control.sock")); err == nil {
			t.Error("the control socket is left")
		}
	})
}

func checkRights(t *testing.T, status control.Status) {
	t.Helper()
	want := process.NodeCaps.Names()
	if len(status.Processes) != 2 {
		t.Fatalf("processes %+v", status.Processes)
	}
	for _, p := range status.Processes {
		switch c := p.Capabilities; {
		case p.Name == "parent" && p.UID == 0:
		case p.Name != "node":
			t.Errorf("process %+v", p)
		case p.UID == 0 || !p.NoNewPrivileges || !slices.Equal(c.Effective, want) || !slices.Equal(c.Bounding, want):
			t.Errorf("the node runs as %d with %+v", p.UID, c)
		}
	}
	if len(status.Attachments) != 2 || status.Attachments[0].Mode != "native" {
		t.Errorf("attachments %+v", status.Attachments)
	}
	if status.Settings.Generation != 1 || status.Settings.FileIsBehind || len(status.Alarms) != 0 {
		t.Errorf("settings %+v, alarms %+v", status.Settings, status.Alarms)
	}
}

func (r *rig) checkMetrics(t *testing.T) {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var conn net.Conn
		err := r.GW.Do(func() (err error) {
			conn, err = new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:9422")
			return err
		})
		return conn, err
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://gw/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, series := range []string{
		`sluice_backend_health_up{addr="10.0.0.11:22",backend="b1"} 1`, `sluice_settings_generation 1`,
		`sluice_xdp_info{driver="veth",interface="ext0",mode="native"} 1`, "go_goroutines", "process_open_fds",
	} {
		if !strings.Contains(string(text), series) {
			t.Errorf("no %s", series)
		}
	}
}

func (r *rig) checkOrders(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	done, err := r.client.Drain(ctx, control.Selection{Backends: []string{"b[1-2]"}}, control.DrainOptions{})
	if err != nil || len(done.Changes) != 2 || done.Changes[0].State != control.StateDraining {
		t.Fatalf("drain = %+v, %v", done, err)
	}
	if who := r.banners(20); who["b3"] != 20 {
		t.Errorf("with b1 and b2 draining 20 connections reached %v", who)
	}
	_, err = r.client.Drain(ctx, control.Selection{Backends: []string{"b3"}}, control.DrainOptions{})
	if !control.IsCode(err, control.CodeLastBackend) {
		t.Errorf("drain of the last one = %v", err)
	}
	if _, err := r.client.Enable(ctx, control.Selection{Backends: []string{"b9"}}); !control.IsCode(err, control.CodeNotFound) {
		t.Errorf("enable of nobody = %v", err)
	}
	if _, err := r.client.Enable(ctx, control.Selection{All: true}); err != nil {
		t.Error(err)
	}
	r.up(3)
	if changes, err := r.client.SetWeight(ctx, control.Selection{Backends: []string{"b1"}}, 7, false); err != nil || changes.Changes[0].Weight != 7 {
		t.Errorf("weight = %+v, %v", changes, err)
	}
	k := r.talk()
	client := r.flowOf(t, k)
	e, err := r.client.Explain(ctx, client, r.vip())
	if err != nil || !e.KnownFlow || e.Backend != k.who || e.Verdict != "forward" {
		t.Errorf("explain = %+v, %v; it talks to %s", e, err, k.who)
	}
}

// flowOf finds a connection among the flows of its backend; the index they are
// listed from may be a second old.
func (r *rig) flowOf(t *testing.T, k *talk) (client netip.AddrPort) {
	t.Helper()
	var page control.FlowPage
	var err error
	eventually(t, "the connection among the flows", func() bool {
		page, err = r.client.Flows(t.Context(), control.FlowQuery{Backend: k.who, State: control.FlowEstablished, Limit: 10})
		for _, f := range page.Flows {
			if f.Client.String() == k.conn.LocalAddr().String() {
				client = f.Client
			}
		}
		return client.IsValid()
	}, func() string { return fmt.Sprintf("%+v, %v", page, err) })
	return client
}
