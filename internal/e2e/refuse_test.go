package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/nettest"
)

// TestRefusedSettings starts sluice with settings that cannot work: it ends
// with exit code 1 and one line a fault that says where and what to do, and
// leaves nothing behind.
func TestRefusedSettings(t *testing.T) {
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF)
	const good = `{listen: "192.0.2.3:22", backends: ["10.0.0.11:22"]}`
	for name, c := range map[string]struct {
		dataplane, services string
		says                []string
	}{
		"unknown key":         {"", `[{listen: "192.0.2.3:22", backends: ["10.0.0.11:22"], colour: red}]`, []string{"colour"}},
		"later key":           {"", `[{listen: "192.0.2.3:22", backends: ["10.0.0.11:22"], nodes: [gw-b]}]`, []string{"nodes"}},
		"duplicate key":       {"", `[{listen: "192.0.2.3:22", listen: "192.0.2.4:22", backends: ["10.0.0.11:22"]}]`, []string{"listen"}},
		"bad address":         {"", `[{listen: "192.0.2.300:22", backends: ["10.0.0.11:22"]}]`, []string{"192.0.2.300"}},
		"overlapping":         {"", "[" + good + ", " + good + "]", []string{"192.0.2.3:22"}},
		"backend is the VIP":  {"", `[{listen: "192.0.2.3:22", backends: ["192.0.2.3:22"]}]`, []string{"192.0.2.3"}},
		"two faults":          {"", `[{listen: "nonsense", backends: []}, {listen: "192.0.2.3:22", backends: ["x"]}]`, []string{"nonsense", "backends"}},
		"missing interface":   {"interfaces: [nosuch0]", "[" + good + "]", []string{"nosuch0", "dataplane.interfaces"}},
		"backend on the node": {"", `[{listen: "192.0.2.3:22", backends: ["10.0.0.1:22"]}]`, []string{"10.0.0.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := nettest.GatewayForTest(t, nettest.GatewayOptions{Backends: 1})
			bpffs := nettest.BPFFS(t)
			d := newDaemon(t, g.GW)
			d.write(d.node(bpffs) + fmt.Sprintf("dataplane: {%s}\nservices: %s\n", c.dataplane, c.services))
			said := d.refused(t)
			for _, want := range c.says {
				if !strings.Contains(said, want) {
					t.Errorf("it does not say %q:\n%s", want, said)
				}
			}
			nothingLeft(t, filepath.Join(bpffs, "sluice"))
		})
	}
}

// refused starts the daemon, which must end by itself with exit code 1.
func (d *daemon) refused(t *testing.T) string {
	t.Helper()
	d.launch()
	select {
	case <-d.ended:
	case <-time.After(patience):
		t.Fatalf("sluice run goes on:\n%s", d.words())
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	d.cmd = nil
	return d.words()
}

func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s is left behind in %s", e.Name(), dir)
	}
}

// TestNoPrivilege starts sluice as an ordinary user: one line, exit code 1.
func TestNoPrivilege(t *testing.T) {
	nettest.Require(t, nettest.Root)
	dir := t.TempDir()
	for p := dir; p != os.TempDir() && p != "/"; p = filepath.Dir(p) {
		must(t, os.Chmod(p, 0o755))
	}
	program := filepath.Join(dir, "sluice")
	data, err := os.ReadFile(binary)
	must(t, err)
	must(t, os.WriteFile(program, data, 0o755))
	settings := filepath.Join(dir, "sluice.yaml")
	must(t, os.WriteFile(settings, []byte("services: [{listen: \"192.0.2.3:22\", backends: [\"10.0.0.11:22\"]}]\n"), 0o644))
	cmd := exec.Command(program, "run", "-c", settings)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("exit code %d (%v), want 1", cmd.ProcessState.ExitCode(), err)
	}
	if !strings.Contains(string(out), "cap_") && !strings.Contains(string(out), "root") {
		t.Errorf("it does not say what is missing:\n%s", out)
	}
}

// TestReloadRefused gives a running node a bad file: nothing changes, and
// status says why.
func TestReloadRefused(t *testing.T) {
	w := running(t, shape{mode: "nat", clientAddress: "hide"})
	w.write(strings.ReplaceAll(w.text(), "mode: nat", "mode: magic"))
	if _, err := w.try("settings", "apply", w.settings); err == nil || !strings.Contains(err.Error(), "magic") {
		t.Errorf("settings apply of a bad file: %v", err)
	}
	must(t, w.cmd.Process.Signal(syscall.SIGHUP))
	eventually(t, "status shows the failed reload", func() error {
		out, err := w.try("status")
		if err == nil && !strings.Contains(out, "magic") && !strings.Contains(out, "reload") {
			return fmt.Errorf("status:\n%s", out)
		}
		return err
	})
	if _, err := w.client.Backend(t.Context(), vips["IPv4"]); err != nil {
		t.Errorf("log in after a refused reload: %v", err)
	}
}

// TestForeignProgram refuses an interface that carries somebody else's program
// and names it.
func TestForeignProgram(t *testing.T) {
	w := newWorld(t, shape{mode: "nat", clientAddress: "hide"})
	must(t, w.GW.AttachPass(nettest.InsideLink))
	w.configure()
	said := w.refused(t)
	if !strings.Contains(said, nettest.InsideLink) || !strings.Contains(said, "XDP program") {
		t.Errorf("it does not name the interface and the program:\n%s", said)
	}
}

// TestDetach takes everything off.
func TestDetach(t *testing.T) {
	w := running(t, shape{mode: "nat", clientAddress: "hide"})
	w.kill()
	w.do("detach")
	nothingLeft(t, filepath.Join(w.bpffs, "sluice"))
	if w.hasXDP(nettest.OutsideLink) || w.hasXDP(nettest.InsideLink) {
		t.Error("a program is still attached")
	}
}

func (w *world) hasXDP(name string) bool {
	w.t.Helper()
	l, err := w.GW.Netlink().LinkByName(name)
	must(w.t, err)
	x := l.Attrs().Xdp
	return x != nil && x.Attached
}
