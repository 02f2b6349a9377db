package process

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// running is a parent that runs as a process of its own, with what it made.
type running struct {
	*exec.Cmd
	t      *testing.T
	base   string
	stderr *os.File
	exited chan struct{}
}

// parentBelow starts a parent below base; the arguments are as in playParent. It
// ends with the test, children and mount included.
func parentBelow(t *testing.T, base string, args ...string) *running {
	t.Helper()
	stderr, err := os.CreateTemp(base, "stderr-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stderr.Close() })
	r := &running{t: t, base: base, stderr: stderr, exited: make(chan struct{})}
	r.Cmd = exec.Command("/proc/self/exe", append([]string{"parent", base}, args...)...)
	r.Stderr = r.stderr
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.exited)
		_ = r.Wait()
	}()
	t.Cleanup(func() {
		_ = r.Process.Kill()
		<-r.exited
	})
	return r
}

// newBase makes the directory of a test: below /run, where the node's user can
// reach it, and cleared of children and mounts at its end.
func newBase(t *testing.T) string {
	t.Helper()
	nettest.Require(t, nettest.Root)
	base, err := os.MkdirTemp("/run", "sluice-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		node, _ := find(bootBelow(base))
		vip, _ := findVIP(bootBelow(base).VIP())
		for _, h := range []*handle{node, vip} {
			if h != nil {
				_ = h.signal(unix.SIGKILL)
				_ = h.wait(context.Background())
				h.close()
			}
		}
		_ = unix.Unmount(filepath.Join(base, "bpf"), unix.MNT_DETACH)
		_ = os.RemoveAll(base)
	})
	return base
}

// said is what parent and children wrote to stderr so far.
func (r *running) said() string {
	text, _ := os.ReadFile(r.stderr.Name())
	return string(text)
}

// pids returns the processes that noted the word, in order.
func (r *running) pids(word string) []int { return pidsIn(r.base, word) }

func pidsIn(base, word string) []int {
	text, _ := os.ReadFile(filepath.Join(base, "data", "journal"))
	var pids []int
	for line := range strings.Lines(string(text)) {
		if w, pid, _ := strings.Cut(strings.TrimSpace(line), " "); w == word {
			// A number that is not there must not become 0, which is for kill
			// this test's own process group.
			if n, err := strconv.Atoi(pid); err == nil && n > 1 {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

// node waits until n nodes became ready and returns the last.
func (r *running) node(n int) int {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("node %d (%s)", n, r.said()), func() bool { return len(r.pids("ready")) >= n })
	return r.pids("ready")[n-1]
}

func (r *running) signal(sig os.Signal) {
	r.t.Helper()
	if err := r.Process.Signal(sig); err != nil {
		r.t.Fatal(err)
	}
}

// ended waits for the parent's end and returns its exit code.
func (r *running) ended() int {
	r.t.Helper()
	select {
	case <-r.exited:
	case <-time.After(15 * time.Second):
		r.t.Fatalf("the parent does not end: %s", r.said())
	}
	return r.ProcessState.ExitCode()
}

// lives says whether a process runs; one that only waits to be reaped by
// whoever inherited it does not.
func lives(pid int) bool {
	h, err := openProcess(pid)
	if err != nil {
		return false
	}
	defer h.close()
	now, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	return h.wait(now) != nil
}

func TestParentLife(t *testing.T) {
	uid, _ := nobody(t)
	base := newBase(t)
	r := parentBelow(t, base, "nobody", "dataplane")
	node := r.node(1)

	t.Run("node is confined", func(t *testing.T) {
		s, err := ReadStatus(node)
		if err != nil {
			t.Fatal(err)
		}
		if s.UID != uid || !s.NoNewPrivs || s.Effective != NodeCaps || s.Bounding != NodeCaps {
			t.Errorf("node runs with %+v", s)
		}
		if group, err := unix.Getpgid(node); group != node || err != nil {
			t.Errorf("^C would reach the node, which is of process group %d, %v", group, err)
		}
	})
	t.Run("directories", func(t *testing.T) {
		for dir, mode := range map[string]os.FileMode{"run": 0o755, "data": 0o700, "bpf": 0o700} {
			info, err := os.Stat(filepath.Join(base, dir))
			if err != nil {
				t.Fatal(err)
			}
			if owner(info) != uid || (dir != "bpf" && info.Mode().Perm() != mode) {
				t.Errorf("%s belongs to %d with mode %v", dir, owner(info), info.Mode())
			}
		}
		if on, err := onBPFFS(filepath.Join(base, "bpf")); !on || err != nil {
			t.Errorf("pins are not on a bpffs, %v", err)
		}
	})
	t.Run("second parent is refused", func(t *testing.T) {
		second := parentBelow(t, base, "root", "dataplane")
		if code := second.ended(); code != 1 || !strings.Contains(second.said(), "another \"sluice run\" (process "+strconv.Itoa(r.Process.Pid)) {
			t.Errorf("exit %d: %s", code, second.said())
		}
		if !lives(node) {
			t.Error("the node is gone")
		}
		if ownerOf(t, filepath.Join(base, "data")) != uid {
			t.Error("the node lost its data directory to a parent that was refused")
		}
	})
	t.Run("SIGHUP reaches the node", func(t *testing.T) {
		r.signal(syscall.SIGHUP)
		eventually(t, "reload", func() bool { return len(r.pids("reload")) == 1 })
	})
	t.Run("a crashed node is started again", func(t *testing.T) {
		if err := unix.Kill(node, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if node = r.node(2); !lives(node) {
			t.Error("the new node is gone")
		}
	})
	t.Run("SIGTERM takes everything down", func(t *testing.T) {
		r.signal(syscall.SIGTERM)
		if code := r.ended(); code != 0 {
			t.Errorf("exit %d: %s", code, r.said())
		}
		if lives(node) || len(r.pids("leave")) != 1 {
			t.Error("the node did not end as it should")
		}
		if pins, err := os.ReadFile(filepath.Join(base, "detached")); err != nil || string(pins) != filepath.Join(base, "bpf") {
			t.Errorf("the dataplane was not taken down: %q, %v", pins, err)
		}
	})
}

// Losing the parent costs nothing, and the next one replaces the node without
// taking the dataplane down.
func TestParentReplacesOrphan(t *testing.T) {
	base := newBase(t)
	first := parentBelow(t, base, "nobody", "dataplane")
	orphan := first.node(1)
	first.signal(syscall.SIGKILL)
	<-first.exited
	if !lives(orphan) {
		t.Fatal("the node died with its parent")
	}

	second := parentBelow(t, base, "nobody", "dataplane")
	if node := second.node(2); node == orphan || !lives(node) {
		t.Errorf("node %d after %d", node, orphan)
	}
	if lives(orphan) || len(second.pids("end")) != 1 || len(second.pids("leave")) != 0 {
		t.Error("the orphan was not replaced as it should")
	}
	if _, err := os.Stat(filepath.Join(base, "detached")); err == nil {
		t.Error("the dataplane was taken down")
	}
}

// SIGUSR2 keeps the process number and changes everything else.
func TestParentReplacesItself(t *testing.T) {
	base := newBase(t)
	r := parentBelow(t, base, "nobody")
	node := r.node(1)

	if err := os.WriteFile(filepath.Join(base, "broken"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.signal(syscall.SIGUSR2)
	eventually(t, "refusal", func() bool { return strings.Contains(r.said(), "settings are broken") })
	if !lives(node) {
		t.Fatal("the node is gone although nothing was replaced")
	}

	if err := os.Remove(filepath.Join(base, "broken")); err != nil {
		t.Fatal(err)
	}
	r.signal(syscall.SIGUSR2)
	if next := r.node(2); next == node {
		t.Error("the node was not replaced")
	}
	eventually(t, "the old node's end", func() bool { return !lives(node) })
	if _, err := os.Stat(filepath.Join(base, "detached")); err == nil {
		t.Error("the dataplane was taken down")
	}
	r.signal(syscall.SIGINT)
	if code := r.ended(); code != 0 {
		t.Errorf("exit %d: %s", code, r.said())
	}
}

// A start that fails says why in the node's own words, once, and leaves. What it
// may have pinned is taken back, what was pinned before is not.
func TestParentFailedStart(t *testing.T) {
	for name, pinned := range map[string]bool{"fresh": false, "over pins": true} {
		t.Run(name, func(t *testing.T) {
			base := newBase(t)
			data := filepath.Join(base, "data")
			if err := os.Mkdir(data, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(data, "fail"), []byte("open dataplane: interface \"x0\" is missing"), 0o644); err != nil {
				t.Fatal(err)
			}
			if pinned {
				if err := mountBPFFS(filepath.Join(base, "bpf")); err != nil {
					t.Fatal(err)
				}
				if err := os.Mkdir(filepath.Join(base, "bpf", "v1"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			r := parentBelow(t, base, "nobody", "dataplane")
			if code := r.ended(); code != 1 {
				t.Errorf("exit %d", code)
			}
			lines := strings.Split(strings.TrimSpace(r.said()), "\n")
			if last := lines[len(lines)-1]; last != "open dataplane: interface \"x0\" is missing" {
				t.Errorf("last line is %q", last)
			}
			if _, err := os.Stat(filepath.Join(base, "detached")); (err == nil) == pinned {
				t.Errorf("taken back: %t", err == nil)
			}
		})
	}
}

// Without a right nothing is touched, and the right is named.
func TestParentMissingPrivilege(t *testing.T) {
	base := newBase(t)
	rights := capSet(unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SETPCAP, unix.CAP_BPF, unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN)
	stderr, err := os.Create(filepath.Join(base, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	weak := confinement{caps: rights}
	process, err := weak.start("/proc/self/exe", []string{"sluice", "parent", base, "nobody", "dataplane"}, os.Environ(), []*os.File{nil, nil, stderr})
	if err != nil {
		t.Fatal(err)
	}
	state, err := process.Wait()
	if err != nil {
		t.Fatal(err)
	}
	said, err := os.ReadFile(stderr.Name())
	if err != nil {
		t.Fatal(err)
	}
	const want = "start sluice: missing cap_chown,cap_kill,cap_net_raw,cap_perfmon: give them to the container"
	if state.ExitCode() != 1 || !strings.HasPrefix(string(said), want) || strings.Count(string(said), "\n") != 1 {
		t.Errorf("exit %d: %s", state.ExitCode(), said)
	}
	for _, dir := range []string{"run", "data", "bpf"} {
		if _, err := os.Stat(filepath.Join(base, dir)); err == nil {
			t.Errorf("%s was made", dir)
		}
	}
}

// Where nothing needs a right, an ordinary user may start it.
func TestParentOfAnOrdinaryUser(t *testing.T) {
	base := newBase(t)
	uid, gid := nobody(t)
	if err := os.Chown(base, uid, gid); err != nil {
		t.Fatal(err)
	}
	process, err := confinement{uid: uid, gid: gid}.start("/proc/self/exe", []string{"sluice", "parent", base, "sluice"}, os.Environ(), []*os.File{nil, nil, os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "node", func() bool { return len(pidsIn(base, "ready")) == 1 })
	s, err := ReadStatus(pidsIn(base, "ready")[0])
	if err != nil || s.UID != uid || s.Effective != 0 || !s.NoNewPrivs {
		t.Errorf("node runs with %+v, %v", s, err)
	}
	if err := process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if state, err := process.Wait(); err != nil || !state.Success() {
		t.Errorf("%v, %v", state, err)
	}
}

// What systemd is told, in order.
func TestParentNotifies(t *testing.T) {
	base := newBase(t)
	path := filepath.Join(base, "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "30000000")
	next := func() string {
		_ = l.SetReadDeadline(time.Now().Add(15 * time.Second))
		message := make([]byte, 4096)
		n, err := l.Read(message)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(message[:n]), "\n")
		return first
	}
	want := func(states ...string) {
		t.Helper()
		for _, state := range states {
			if got := next(); got != state {
				t.Fatalf("systemd was told %q, want %q", got, state)
			}
		}
	}
	r := parentBelow(t, base, "nobody")
	want("READY=1", "WATCHDOG=1")
	r.signal(syscall.SIGHUP)
	want("RELOADING=1", "READY=1")
	r.signal(syscall.SIGTERM)
	want("STOPPING=1")
	r.ended()
}
