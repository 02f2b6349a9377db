package failover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/config"
	"sluice/internal/nettest"
	"sluice/internal/node/process"
	"sluice/vip"
	"sluice/vip/election"
)

// patienceOfTests bounds waits for what happens soon.
const patienceOfTests = 30 * time.Second

// The test binary is the vip process, too, and somebody who may not speak to it.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 {
		roles := map[string]func(string) error{"vip": playVIP, "dial": playDial}
		if role, known := roles[os.Args[1]]; known {
			if err := role(os.Args[2]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
}

// playVIP is the vip process of a directory.
func playVIP(dir string) error {
	ctx, end := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		if s := <-signals; s == syscall.SIGINT {
			end(process.ErrResign)
		}
		end(nil)
	}()
	boot := process.VIPBoot{Socket: filepath.Join(dir, "vip.sock"), State: filepath.Join(dir, "state"), Pins: filepath.Join(dir, "none")}
	return Run(ctx, boot, slog.New(slog.NewTextHandler(os.Stderr, nil)), func() { fmt.Println("ready") })
}

// playDial connects and says how that ends.
func playDial(path string) error {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patienceOfTests))
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("read %d, %v", n, err)
	}
	fmt.Println("hung up on")
	return nil
}

// rig is a vip process in a namespace with one interface.
type rig struct {
	t      *testing.T
	ns     *nettest.Namespace
	dir    string
	client *Client
	cmd    *nettest.Cmd
	ended  chan error
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, ns: nettest.ForTest(t), dir: t.TempDir()}
	far := nettest.ForTest(t)
	must(t, nettest.Veth(r.ns, "ext0", far, "far0"))
	must(t, r.ns.AddAddr("ext0", netip.MustParsePrefix("192.0.2.1/24")))
	must(t, r.ns.Settled(t.Context()))
	r.client = NewClient(filepath.Join(r.dir, "vip.sock"))
	t.Cleanup(func() {
		r.client.Close()
		if r.cmd != nil {
			_ = r.cmd.Process.Kill()
			<-r.ended
		}
		text, _ := os.ReadFile(filepath.Join(r.dir, "log"))
		if bytes.Contains(text, []byte("DATA RACE")) || bytes.Contains(text, []byte("panic:")) {
			t.Error("the vip process has a race or panicked")
		}
		if t.Failed() {
			t.Logf("the vip process said:\n%s", text)
		}
	})
	return r
}

// start starts the process and waits until it can be spoken to.
func (r *rig) start() {
	r.t.Helper()
	log, err := os.OpenFile(filepath.Join(r.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	must(r.t, err)
	defer log.Close()
	ours, theirs, err := os.Pipe()
	must(r.t, err)
	defer ours.Close()
	r.cmd = r.ns.Command(context.Background(), "/proc/self/exe", "vip", r.dir)
	r.cmd.Stdout, r.cmd.Stderr = theirs, log
	must(r.t, r.cmd.Start())
	_ = theirs.Close()
	r.ended = make(chan error, 1)
	go func(cmd *nettest.Cmd, ended chan error) { ended <- cmd.Wait() }(r.cmd, r.ended)
	_ = ours.SetReadDeadline(time.Now().Add(patienceOfTests))
	if _, err := io.ReadFull(ours, make([]byte, len("ready\n"))); err != nil {
		r.t.Fatalf("not ready: %v", err)
	}
}

// signal ends the process.
func (r *rig) signal(s syscall.Signal) error {
	r.t.Helper()
	must(r.t, r.cmd.Process.Signal(s))
	select {
	case err := <-r.ended:
		r.cmd = nil
		return err
	case <-time.After(patienceOfTests):
		r.t.Fatal("the vip process does not end")
		return nil
	}
}

// plan is a virtual cluster without a second gateway.
func plan() vip.Plan {
	return vip.Plan{Node: "gw-a", Version: "1", Generation: 1, Clusters: []vip.Cluster{{
		VirtualCluster: config.VirtualCluster{
			Name: "edge", VRID: 51, Member: true, Priority: map[string]int{"gw-a": 100}, OwnPriority: 100,
			AdvertInterval: 100 * time.Millisecond, Version: 3, VirtualMAC: config.VirtualMACAuto, Auth: config.Auth{Mode: config.AuthEnforce, Send: 1},
			VIPs: []config.VIP{{Addr: netip.MustParsePrefix("192.0.2.3/24"), Interface: "ext0"}}, Announce: config.Announce{Repeat: 1},
		},
		AdvertKeys: map[uint8]vip.Secret{1: vip.NewSecret([]byte("0123456789abcdef0123456789abcdef"))},
	}}}
}

// has says whether the VIP lies in the namespace.
func (r *rig) has() bool {
	r.t.Helper()
	list, err := r.ns.Netlink().AddrList(nil, 0)
	must(r.t, err)
	for _, a := range list {
		if a.IP.String() == "192.0.2.3" {
			return true
		}
	}
	return false
}

func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patienceOfTests); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("not %s", what)
		}
	}
}

// state is that of the one cluster, "" for none.
func (r *rig) state() string {
	s, err := r.client.Status(r.t.Context())
	if err != nil || len(s.Clusters) == 0 {
		return ""
	}
	return s.Clusters[0].State
}

// begin starts the process and has it hold the VIP.
func (r *rig) begin() {
	r.t.Helper()
	r.start()
	var err error
	for end := time.Now().Add(patienceOfTests); time.Now().Before(end); time.Sleep(5 * time.Millisecond) { // it does not run at once
		if err = r.client.Apply(r.t.Context(), plan()); err == nil || !strings.Contains(err.Error(), "does not run") {
			break
		}
	}
	must(r.t, err)
	r.until("active", func() bool { return r.state() == "active" && r.has() })
}

func TestCalls(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.begin()
	s, err := r.client.Status(ctx)
	if err != nil || !s.Connected || len(s.Clusters) != 1 || s.Clusters[0].Name != "edge" || !s.Clusters[0].VIPs[0].Owner {
		t.Errorf("%+v, %v", s, err)
	}
	list, err := r.client.History(ctx)
	if err != nil || len(list) == 0 || list[len(list)-1].To != "active" || list[len(list)-1].Cluster != "edge" {
		t.Errorf("history %+v, %v", list, err)
	}

	// What is refused comes as what it is, and is no absence.
	wrong := plan()
	wrong.Clusters[0].Member = false
	for what, err := range map[string]error{
		`"gw-a" has no part`: r.client.Apply(ctx, wrong),
		`"dmz" does not run`: r.client.Order(ctx, "dmz", election.Swap, 0),
	} {
		if err == nil || errors.Is(err, ErrAway) || !strings.Contains(err.Error(), what) {
			t.Errorf("%q: %v", what, err)
		}
	}
	if err := r.client.Order(ctx, "edge", election.Swap, 0); !errors.Is(err, election.ErrNobody) || !strings.Contains(err.Error(), `"edge"`) {
		t.Errorf("swap alone: %v", err)
	}
	must(t, r.client.SetHealth(ctx, vip.Health{Faults: []string{"nothing listens"}}))
	r.until("at fault", func() bool { return r.state() == "fault" && !r.has() })
	if err := r.client.Order(ctx, "edge", election.Swap, 0); !errors.Is(err, election.ErrFault) {
		t.Errorf("swap at fault: %v", err)
	}
	if err := r.client.Order(ctx, "edge", election.Resign, 0); !errors.Is(err, election.ErrNotActive) {
		t.Errorf("resign at fault: %v", err)
	}
	must(t, r.client.SetHealth(ctx, vip.Health{}))
	r.until("active again", func() bool { return r.state() == "active" })

	must(t, r.client.Apply(ctx, vip.Plan{Node: "gw-a"}))
	if s, err := r.client.Status(ctx); err != nil || len(s.Clusters) != 0 || r.has() {
		t.Errorf("with an empty plan: %+v, %v", s, err)
	}
}

// A node that says nothing for longer than the watchdog allows counts as gone, and
// as back once it speaks.
func TestNodeGoesAway(t *testing.T) {
	r := newRig(t)
	r.begin()
	watched := plan()
	watched.Watchdog = time.Second
	must(t, r.client.SetHealth(t.Context(), vip.Health{}))
	must(t, r.client.Apply(t.Context(), watched))
	second := NewClient(filepath.Join(r.dir, "vip.sock"))
	if _, err := second.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.client.Close()
	if s, err := second.Status(t.Context()); err != nil || !s.Connected {
		t.Errorf("one of two is gone: %+v, %v", s, err)
	}
	second.Close()
	r.until("without the VIP", func() bool { return !r.has() })
	r.until("active again", func() bool {
		return r.client.SetHealth(t.Context(), vip.Health{}) == nil && r.state() == "active" && r.has()
	})
	list, err := r.client.History(t.Context())
	if err != nil || !slices.ContainsFunc(list, func(c vip.Change) bool {
		return c.To == "fault" && strings.Contains(c.Reason, "the node process is away for longer than 1s")
	}) {
		t.Errorf("%+v, %v", list, err)
	}
}

// The end without a successor takes the VIPs away, the one for a successor leaves
// them; nodes that are connected keep neither from ending.
func TestEnds(t *testing.T) {
	r := newRig(t)
	r.begin()
	if err := r.signal(syscall.SIGTERM); err != nil || !r.has() {
		t.Errorf("for a successor: %v, VIP %t", err, r.has())
	}
	if _, err := r.client.Status(t.Context()); !errors.Is(err, ErrAway) {
		t.Errorf("nobody is there: %v", err)
	}
	r.start() // by the plan that was left
	r.until("active", func() bool { return r.state() == "active" && r.has() })
	if s, err := r.client.Status(t.Context()); err != nil || s.Clusters[0].Cause != string(election.CauseAdopted) {
		t.Errorf("it did not go on where the other one stopped: %+v, %v", s, err)
	}
	if err := r.signal(syscall.SIGINT); err != nil || r.has() {
		t.Errorf("for good: %v, VIP %t", err, r.has())
	}
	var left []string
	must(t, r.ns.Do(func() error {
		list, err := net.Interfaces()
		for _, l := range list {
			left = append(left, l.Name)
		}
		return err
	}))
	if len(left) != 2 {
		t.Errorf("interfaces left: %v", left)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "vip.sock")); err == nil {
		t.Error("the socket is left")
	}
}

// A client finds a process that was killed and started again by itself, and says
// meanwhile that it is away.
func TestClientConnectsAgain(t *testing.T) {
	r := newRig(t)
	r.begin()
	_ = r.signal(syscall.SIGKILL)
	for range 2 {
		if err := r.client.SetHealth(t.Context(), vip.Health{}); !errors.Is(err, ErrAway) {
			t.Errorf("while it is dead: %v", err)
		}
	}
	r.start()
	r.until("answering", func() bool { return r.state() == "active" && r.has() })

	// One that hangs is away after the caller's time, and there again after.
	must(t, r.cmd.Process.Signal(syscall.SIGSTOP))
	r.until("stopped", func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.cmd.Process.Pid))
		return err == nil && strings.Contains(string(text), ") T ")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.client.Status(ctx); !errors.Is(err, ErrAway) {
		t.Errorf("while it hangs: %v", err)
	}
	must(t, r.cmd.Process.Signal(syscall.SIGCONT))
	r.until("answering after it hung", func() bool { return r.state() == "active" && r.has() })
}

// Root and the process's own user may speak, and nobody else: not even where the
// socket would let them.
func TestStrangersAreRefused(t *testing.T) {
	r := newRig(t)
	r.begin()
	for dir := r.dir; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		must(t, os.Chmod(dir, 0o755))
	}
	socket := filepath.Join(r.dir, "vip.sock")
	must(t, os.Chmod(socket, 0o666))
	program := filepath.Join(r.dir, "dial")
	self, err := os.ReadFile("/proc/self/exe")
	must(t, err)
	must(t, os.WriteFile(program, self, 0o755))
	cmd := r.ns.Command(t.Context(), program, "dial", socket)
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	said, err := cmd.CombinedOutput()
	if err != nil || string(said) != "hung up on\n" {
		t.Errorf("%q, %v", said, err)
	}
	if s, err := r.client.Status(t.Context()); err != nil || s.Clusters[0].State != "active" {
		t.Errorf("after that: %+v, %v", s, err)
	}
	log, err := os.ReadFile(filepath.Join(r.dir, "log"))
	if err != nil || !strings.Contains(string(log), "refused to speak to a process") || !strings.Contains(string(log), "is of user 65534") {
		t.Errorf("the log does not say so: %v", err)
	}
	if strings.Contains(string(log), "0123456789abcdef0123456789abcdef") {
		t.Error("the log tells a key")
	}
}

func TestCheckPeerOfNoSocket(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if err := checkPeer(a); err == nil {
		t.Error("a pipe passed")
	}
}
