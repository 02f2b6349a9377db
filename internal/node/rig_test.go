package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"sluice/internal/control"
	"sluice/internal/nettest"
	"sluice/internal/node/engine"
	"sluice/internal/node/process"
)

// The test binary is sluice, too: "run FILE" and "node …" do what the commands
// of that name do.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		log := slog.New(slog.NewTextHandler(os.Stderr, nil))
		var err error
		switch os.Args[1] {
		case "run":
			err = RunParent(context.Background(), ParentOptions{Settings: os.Args[2], Log: log})
		case process.Command:
			err = RunNode(context.Background(), Options{Args: os.Args[2:], Log: log})
		case process.VIPCommand[0]:
			err = RunVIP(context.Background(), VIPOptions{Args: os.Args[1+len(process.VIPCommand):], Log: log, Daemon: playDaemon})
		case "doctor":
			err = playDoctor(os.Args[2])
		default:
			goleak.VerifyTestMain(m)
		}
		if err != nil && !errors.Is(err, ErrReported) {
			fmt.Fprintln(os.Stderr, err)
		}
		if err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	goleak.VerifyTestMain(m)
}

// rig is a gateway between a client and backends, with room for a node on it.
type rig struct {
	*nettest.Gateway
	t       *testing.T
	base    string
	client  *control.Client
	servers []*nettest.Server
}

func newRig(t *testing.T, o nettest.GatewayOptions) *rig {
	t.Helper()
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF)
	base, err := os.MkdirTemp("/run", "sluice-node-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(base, 0o755); err != nil { // the node is not root
		t.Fatal(err)
	}
	r := &rig{Gateway: nettest.GatewayForTest(t, o), t: t, base: base}
	t.Cleanup(r.clear)
	for i, b := range r.Backends {
		r.servers = append(r.servers, nettest.ServeForTest(t, b.Namespace, r.backend(i), nettest.ServerOptions{Banner: "SSH-2.0-" + b.Label + "\r\n", Echo: true}))
	}
	r.client = control.NewClient(filepath.Join(base, "run", "control.sock"))
	return r
}

// clear ends what a failed test left and takes every trace away.
func (r *rig) clear() {
	r.client.Close()
	if err := r.GW.Close(); err != nil { // ends the processes inside
		r.t.Error(err)
	}
	if _, err := engine.Remove(r.pins()); err != nil {
		r.t.Error(err)
	}
	_ = unix.Unmount(r.pins(), unix.MNT_DETACH)
	_ = os.RemoveAll(r.base)
}

func (r *rig) pins() string { return filepath.Join(r.base, "bpf") }

func (r *rig) file() string { return filepath.Join(r.base, "sluice.yaml") }

func (r *rig) backend(i int) netip.AddrPort { return netip.AddrPortFrom(r.Backends[i].Addr.V4, 22) }

func (r *rig) vip() netip.AddrPort { return netip.AddrPortFrom(r.VIPs[0], 22) }

// settings are those of this rig with what a test adds.
func (r *rig) settings(rest string) string {
	return fmt.Sprintf(`node:
  name: gw-a
  data_dir: %[1]s/data
  bpffs: %[1]s/bpf
  control: {socket: %[1]s/run/control.sock}
  metrics: "127.0.0.1:9422"
  user: nobody
%[2]s`, r.base, rest)
}

// login is a service with some of the backends.
func (r *rig) login(backends ...int) string {
	var list []string
	for _, i := range backends {
		list = append(list, fmt.Sprintf("{name: b%d, addr: %q}", i+1, r.backend(i)))
	}
	return fmt.Sprintf(`services:
  - name: login
    listen: %q
    backends: [%s]
    health_check: {interval: 100ms, timeout: 90ms}
`, r.vip(), strings.Join(list, ", "))
}

func (r *rig) write(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.file(), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// sluice is one `sluice run`.
type sluice struct {
	*nettest.Cmd
	t      *testing.T
	stderr *os.File
	exited chan struct{}
}

// start runs the parent in the gateway's namespace.
func (r *rig) start() *sluice {
	r.t.Helper()
	stderr, err := os.CreateTemp(r.base, "log-")
	if err != nil {
		r.t.Fatal(err)
	}
	s := &sluice{Cmd: r.GW.Command(context.Background(), "/proc/self/exe", "run", r.file()), t: r.t, stderr: stderr, exited: make(chan struct{})}
	s.Stderr = stderr
	if err := s.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		defer close(s.exited)
		_ = s.Wait()
	}()
	r.t.Cleanup(func() {
		_ = s.Process.Kill()
		<-s.exited
		if r.t.Failed() {
			r.t.Logf("log of this run:\n%s", s.said())
		}
		_ = stderr.Close()
	})
	return s
}

func (s *sluice) said() string {
	text, _ := os.ReadFile(s.stderr.Name())
	return string(text)
}

func (s *sluice) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// ended waits for the end and returns the exit code.
func (s *sluice) ended() int {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(20 * time.Second):
		s.t.Fatalf("it does not end: %s", s.said())
	}
	return s.ProcessState.ExitCode()
}

// status asks the node until an answer satisfies.
func (r *rig) status(what string, fits func(control.Status) bool) control.Status {
	r.t.Helper()
	var last control.Status
	var err error
	eventually(r.t, what, func() bool {
		last, err = r.client.Status(r.t.Context())
		return err == nil && fits(last)
	}, func() string { return fmt.Sprintf("%+v, %v", last, err) })
	return last
}

// up waits for a node with so many backends up.
func (r *rig) up(n int) control.Status {
	r.t.Helper()
	var list control.BackendList
	var err error
	eventually(r.t, fmt.Sprintf("%d backends up", n), func() bool {
		list, err = r.client.Backends(r.t.Context())
		up := 0
		for _, b := range list.Backends {
			if b.State == control.StateUp {
				up++
			}
		}
		return err == nil && up == n
	}, func() string { return fmt.Sprintf("%+v, %v", list, err) })
	return r.status("status", func(control.Status) bool { return true })
}

// banners dials the VIP so often and counts who answered.
func (r *rig) banners(n int) map[string]int {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	conns, err := nettest.OpenConns(ctx, r.Client, r.vip(), n)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conns.Close()
	lines, err := conns.Read(len("SSH-2.0-b1\r\n"), 10*time.Second)
	if err != nil {
		r.t.Fatal(err)
	}
	who := make(map[string]int)
	for _, line := range lines {
		who[strings.TrimSpace(strings.TrimPrefix(line, "SSH-2.0-"))]++
	}
	return who
}

func eventually(t *testing.T, what string, condition func() bool, last func() string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come about; last seen: %s", what, last())
		}
	}
}
