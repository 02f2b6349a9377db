package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// mounted returns a directory with a bpffs of its own.
func mounted(t *testing.T) string {
	t.Helper()
	nettest.Require(t, nettest.Root)
	point := filepath.Join(t.TempDir(), "bpf")
	if err := mountBPFFS(point); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(point, unix.MNT_DETACH) })
	return point
}

func TestMountBPFFS(t *testing.T) {
	point := mounted(t)
	for path, want := range map[string]bool{
		point:                             true,
		filepath.Join(point, "not/there"): true,
		filepath.Dir(point):               false,
		"/":                               false,
	} {
		if got, err := onBPFFS(path); got != want || err != nil {
			t.Errorf("onBPFFS(%q) = %t, %v; want %t", path, got, err, want)
		}
	}
	if on, err := mountPointFor(filepath.Join(point, "sluice")); on != "" || err != nil {
		t.Errorf("wants to mount %q although it is, %v", on, err)
	}
}

func TestMountPointFor(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "bpf", "sluice")
	if got, err := mountPointFor(elsewhere); got != elsewhere || err != nil {
		t.Errorf("mountPointFor(%q) = %q, %v", elsewhere, got, err)
	}
	pins := systemBPFFS + "/sluice-test"
	want := systemBPFFS
	if on, err := onBPFFS(systemBPFFS); err != nil {
		t.Fatal(err)
	} else if on {
		want = ""
	}
	if got, err := mountPointFor(pins); got != want || err != nil {
		t.Errorf("mountPointFor(%q) = %q, %v; want %q", pins, got, err, want)
	}
	if got, _ := mountPointFor(systemBPFFS + "-other/sluice"); got == systemBPFFS {
		t.Error("a directory beside /sys/fs/bpf is taken for one below it")
	}
}

// ip netns exec has mounts of its own: there nothing may be mounted.
func TestNoMountInOwnNamespace(t *testing.T) {
	nettest.Require(t, nettest.Root, nettest.Program("unshare"))
	if err := sharesHostMounts(); err != nil {
		t.Fatalf("the tests themselves run in a mount namespace of their own: %v", err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("unshare", "--mount", exe, "mount", filepath.Join(t.TempDir(), "bpf")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "nsenter") {
		t.Errorf("mount in a namespace of its own: %v, %s", err, out)
	}
}

func TestInspectBPFFS(t *testing.T) {
	nettest.Require(t, nettest.Root, nettest.Program("unshare"))
	point := mounted(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	private := filepath.Join(t.TempDir(), "bpf")
	if err := os.Mkdir(private, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ script, path, want string }{
		"host's":                        {"", point, "true true"},
		"host's, below":                 {"", filepath.Join(point, "sluice"), "true true"},
		"none":                          {"", private, "false true"},
		"host's, seen from another":     {"true", point, "true true"},
		"none, in another":              {"true", private, "false false"},
		"mounted in another, not lasts": {"mount -t bpf bpf " + private, filepath.Join(private, "x"), "true false"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(exe, "inspect", c.path)
			if c.script != "" {
				cmd = exec.Command("unshare", "--mount", "sh", "-c", c.script+` && exec "$0" inspect "$1"`, exe, c.path)
			}
			out, err := cmd.CombinedOutput()
			if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
				t.Errorf("on, lasting = %s, %v; want %s", got, err, c.want)
			}
		})
	}
}

// systemd mounts bpffs for root alone; the node must get through, not look in.
func TestOpenPath(t *testing.T) {
	point := mounted(t)
	if err := os.Chmod(point, 0o700); err != nil {
		t.Fatal(err)
	}
	pins := filepath.Join(point, "sluice")
	if err := os.Mkdir(pins, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := openPath(pins); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{point: 0o711, pins: 0o700} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
}
