package process

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// startNode runs a node of this binary below base, without a parent.
func startNode(t *testing.T, boot Boot) *exec.Cmd {
	t.Helper()
	for _, dir := range []string{boot.DataDir, filepath.Dir(boot.Socket)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("/proc/self/exe", boot.Args()...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(t, "the node", func() bool {
		_, err := os.Stat(filepath.Join(boot.DataDir, "journal"))
		return err == nil
	})
	return cmd
}

func TestFind(t *testing.T) {
	boot := bootBelow(t.TempDir())
	if h, err := find(boot); h != nil || err != nil {
		t.Fatalf("nothing runs, found %v, %v", h, err)
	}
	node := startNode(t, boot)
	check := func(t *testing.T) {
		t.Helper()
		h, err := find(boot)
		if err != nil || h == nil {
			t.Fatalf("find = %v, %v", h, err)
		}
		defer h.close()
		if h.pid != node.Process.Pid {
			t.Errorf("found process %d, want %d", h.pid, node.Process.Pid)
		}
	}
	t.Run("by socket", check)
	// As while it starts, or when its socket was removed by a stranger.
	if err := os.Remove(boot.Socket); err != nil {
		t.Fatal(err)
	}
	t.Run("by lock", check)
	t.Run("dead", func(t *testing.T) {
		_ = node.Process.Kill()
		_ = node.Wait()
		if h, err := find(boot); h != nil || err != nil {
			t.Errorf("find = %v, %v", h, err)
		}
	})
}

// Before a kernel knows SO_PEERPIDFD the number the socket gives must do, so
// both ways have to name the same process.
func TestPeerIsWhoListens(t *testing.T) {
	boot := bootBelow(t.TempDir())
	node := startNode(t, boot)
	h, err := bySocket(boot.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	if h.pid != node.Process.Pid {
		t.Fatalf("the socket names process %d, want %d", h.pid, node.Process.Pid)
	}
	if err := h.signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := h.wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A stranger at one of our paths is named and never signalled.
func TestFindRefusesStrangers(t *testing.T) {
	t.Run("not a node", func(t *testing.T) {
		boot := bootBelow(t.TempDir())
		if err := os.MkdirAll(filepath.Dir(boot.Socket), 0o755); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", boot.Socket)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		h, err := find(boot)
		if h != nil || err == nil || !strings.Contains(err.Error(), "is not the node of") {
			t.Errorf("find = %v, %v", h, err)
		}
	})
	t.Run("node of other pins", func(t *testing.T) {
		boot := bootBelow(t.TempDir())
		startNode(t, boot)
		boot.Pins += "-other"
		h, err := find(boot)
		if h != nil || err == nil || !strings.Contains(err.Error(), boot.Pins) {
			t.Errorf("find = %v, %v", h, err)
		}
	})
}

func TestIsNode(t *testing.T) {
	boot := Boot{Settings: "/s", Pins: "/p", DataDir: "/d", Socket: "/c"}
	line := "/usr/bin/sluice\x00" + strings.Join(boot.Args(), "\x00") + "\x00"
	for name, c := range map[string]struct {
		line string
		want bool
	}{
		"node":         {line, true},
		"other pins":   {strings.Replace(line, "/p", "/q", 1), false},
		"other verb":   {strings.Replace(line, "\x00node\x00", "\x00run\x00", 1), false},
		"cut short":    {line[:len(line)-6], false},
		"no arguments": {"/usr/bin/sluice\x00", false},
		"empty":        {"", false},
	} {
		if got := isNode(splitArguments(c.line), "/p"); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestLockNodeNamesTheHolder(t *testing.T) {
	boot := bootBelow(t.TempDir())
	node := startNode(t, boot)
	f, err := LockNode(boot.DataDir)
	if err == nil {
		_ = f.Close()
		t.Fatal("two nodes in one data directory")
	}
	if want := "process " + strconv.Itoa(node.Process.Pid); !strings.Contains(err.Error(), want) {
		t.Errorf("%v does not name %s", err, want)
	}
}
