package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/control"
	"sluice/internal/nettest"
)

// patience is how long anything that must happen may take on a loaded machine.
const patience = 30 * time.Second

// daemon is `sluice run` in a namespace, and its commands.
type daemon struct {
	t        *testing.T
	ns       *nettest.Namespace
	dir      string
	settings string
	cmd      *nettest.Cmd
	ended    chan struct{}
	log      *os.File
}

// newDaemon makes the folders of a daemon; bpffs is where its pins go.
func newDaemon(t *testing.T, ns *nettest.Namespace) *daemon {
	t.Helper()
	dir := t.TempDir()
	// The node process may run as another user.
	must(t, os.Chmod(dir, 0o755))
	log, err := os.Create(filepath.Join(dir, "log"))
	must(t, err)
	d := &daemon{t: t, ns: ns, dir: dir, settings: filepath.Join(dir, "sluice.yaml"), log: log}
	t.Cleanup(d.finish)
	return d
}

func (d *daemon) socket() string { return filepath.Join(d.dir, "run", "control.sock") }

// node is the node section of the settings: all of the daemon's own is below
// its folder and bpffs.
func (d *daemon) node(bpffs string) string {
	return fmt.Sprintf("node: {name: gw, data_dir: %s, bpffs: %s, control: {socket: %s}, metrics: \"127.0.0.1:9422\"}\n",
		filepath.Join(d.dir, "data"), filepath.Join(bpffs, "sluice"), d.socket())
}

func (d *daemon) write(settings string) {
	d.t.Helper()
	must(d.t, os.WriteFile(d.settings, []byte(settings), 0o644))
}

// start starts the daemon and waits until it answers.
func (d *daemon) start() {
	d.t.Helper()
	d.launch()
	d.eventually("the daemon answers", func() error {
		select {
		case <-d.ended:
			d.t.Fatalf("sluice run ended:\n%s", d.words())
		default:
		}
		_, err := d.try("status", "--json")
		return err
	})
}

func (d *daemon) launch() {
	d.t.Helper()
	cmd := d.ns.Command(context.Background(), binary, "run", "-c", d.settings)
	cmd.Stdout, cmd.Stderr = d.log, d.log
	cmd.SysProcAttr.Pdeathsig = 0
	must(d.t, cmd.Start())
	ended := make(chan struct{})
	d.cmd, d.ended = cmd, ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // how it ended is in the log
	}()
}

func (d *daemon) words() string {
	data, _ := os.ReadFile(d.log.Name())
	return string(data)
}

// stop ends the daemon in order.
func (d *daemon) stop() {
	d.t.Helper()
	must(d.t, d.cmd.Process.Signal(syscall.SIGTERM))
	<-d.ended
	d.cmd = nil
}

// finish stops what still runs and shows the log of a failed test.
func (d *daemon) finish() {
	if d.cmd != nil {
		_ = d.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-d.ended:
		case <-time.After(patience):
			d.t.Error("sluice run did not end within its time")
			d.kill()
		}
	}
	if d.t.Failed() {
		d.t.Logf("sluice run said:\n%s", d.words())
	}
	d.log.Close()
}

// kill ends parent and node process by SIGKILL: nothing is put in order.
func (d *daemon) kill() {
	d.t.Helper()
	var st control.Status
	d.query(&st, "status")
	_ = d.cmd.Process.Kill()
	<-d.ended
	_ = syscall.Kill(st.PID, syscall.SIGKILL)
	d.cmd = nil
	d.eventually("the node process is gone", func() error {
		if err := syscall.Kill(st.PID, 0); err == nil && !zombie(st.PID) {
			return fmt.Errorf("process %d lives", st.PID)
		}
		return nil
	})
}

// zombie says that a process has ended, all its threads and with them its open
// files, but nobody has asked for its fate: its parent was killed, too.
func zombie(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	threads, listErr := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return err == nil && listErr == nil && len(threads) == 1 && strings.Contains(string(data), ") Z ")
}

// try runs a sluice command and returns what it printed.
func (d *daemon) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := d.ns.Command(ctx, binary, args...)
	cmd.Env = append(os.Environ(), "SLUICE_SOCKET="+d.socket(), "SLUICE_CONFIG="+d.settings)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("sluice %s: %v: %s", strings.Join(args, " "), err, complaint.String())
	}
	return out.String(), nil
}

// do runs a sluice command that must succeed.
func (d *daemon) do(args ...string) string {
	d.t.Helper()
	out, err := d.try(args...)
	must(d.t, err)
	return out
}

// query decodes the --json answer of a command.
func (d *daemon) query(v any, args ...string) {
	d.t.Helper()
	must(d.t, json.Unmarshal([]byte(d.do(append(args, "--json")...)), v))
}

func (d *daemon) backends() map[string]control.Backend {
	d.t.Helper()
	var list struct{ Backends []control.Backend }
	d.query(&list, "show", "backends")
	out := map[string]control.Backend{}
	for _, b := range list.Backends {
		out[b.Name] = b
	}
	return out
}

// dropped is the packet counter of a drop reason.
func (d *daemon) dropped(reason string) uint64 {
	d.t.Helper()
	var list struct{ Drops []control.Drop }
	d.query(&list, "show", "drops")
	for _, drop := range list.Drops {
		if drop.Reason == reason {
			return drop.Packets
		}
	}
	return 0
}

// allUp waits until every backend is up.
func (d *daemon) allUp() {
	d.t.Helper()
	d.eventually("all backends are up", func() error {
		for name, b := range d.backends() {
			if string(b.State) != "up" {
				return fmt.Errorf("backend %s is %s", name, b.State)
			}
		}
		return nil
	})
}

// eventually polls until check succeeds.
func (d *daemon) eventually(what string, check func() error) {
	d.t.Helper()
	eventually(d.t, what, check)
}

func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %v until %s: %v", patience, what, err)
		}
		time.Sleep(50 * time.Millisecond) // between looks at a condition
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
