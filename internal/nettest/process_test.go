package nettest

import (
	"bufio"
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func pidsIn(t *testing.T, id nsID) []int {
	t.Helper()
	found, err := processesIn(id)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, p := range found {
		unix.Close(p.fd)
		pids = append(pids, p.pid)
	}
	return pids
}

// start runs a shell script and waits until it has printed a line.
func start(t *testing.T, n *Namespace, script string) *Cmd {
	t.Helper()
	cmd := n.Command(context.Background(), "sh", "-c", script)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the script said nothing: %v", err)
	}
	return cmd
}

func TestCloseEndsProcesses(t *testing.T) {
	tests := map[string]struct {
		script string
		want   syscall.Signal
	}{
		"politely":   {"echo; exec sleep 1000", syscall.SIGTERM},
		"for good":   {`trap "" TERM; echo; while :; do sleep 1000; done`, syscall.SIGKILL},
		"descendant": {"sleep 1000 & echo; wait", syscall.SIGTERM},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n := ForTest(t)
			cmd := start(t, n, tt.script)
			if len(pidsIn(t, n.id)) == 0 {
				t.Fatal("the process is not found in its namespace")
			}
			if err := n.Close(); err != nil {
				t.Error(err)
			}
			if left := pidsIn(t, n.id); len(left) != 0 {
				t.Errorf("processes %v are still there", left)
			}
			_ = cmd.Wait()
			if got := cmd.ProcessState.Sys().(syscall.WaitStatus).Signal(); got != tt.want {
				t.Errorf("it ended by %v, want %v", got, tt.want)
			}
		})
	}
}

// Not by way of endProcesses: a broken one would end the machine it is tested
// on.
func TestHostIsNotExpendable(t *testing.T) {
	host := here(t)
	wantError(t, expendable(host), "refused", "thread-self")
	n := ForTest(t)
	if err := expendable(n.id); err != nil {
		t.Error(err)
	}
	// From inside another namespace the host is still process 1's.
	first, err := nsIDOf("/proc/1/ns/net")
	if err != nil {
		t.Skipf("process 1 is not ours to look at: %v", err)
	}
	if err := n.Do(func() error { return expendable(first) }); err == nil {
		t.Error("from inside a namespace, that of process 1 is expendable")
	}
}

func TestCommand(t *testing.T) {
	n := ForTest(t)
	if err := n.Bridge("sight"); err != nil {
		t.Fatal(err)
	}
	out, err := n.Command(t.Context(), "cat", "/proc/net/dev").Output()
	if err != nil || !strings.Contains(string(out), "sight") {
		t.Errorf("inside are the links %q (%v), without %q", out, err, "sight")
	}
	out, err = n.Command(t.Context(), "sh", "-c", "echo out; echo err >&2; exit 3").CombinedOutput()
	if string(out) != "out\nerr\n" || err == nil || err.Error() != "exit status 3" {
		t.Errorf("got %q, %v", out, err)
	}
	// The bpffs and everything else that is mounted stay the host's.
	ours, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := n.Command(t.Context(), "readlink", "/proc/self/ns/mnt").Output()
	if got := strings.TrimSpace(string(theirs)); err != nil || got != ours {
		t.Errorf("it runs in mount namespace %q (%v), want %q", got, err, ours)
	}
	_, err = n.Command(t.Context(), "no-such-program").Output()
	wantError(t, err, "no-such-program")
}

func TestCommandEndsWithItsContext(t *testing.T) {
	n := ForTest(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	cmd := n.Command(ctx, "sleep", "1000")
	if err := cmd.Run(); err == nil || ctx.Err() == nil {
		t.Errorf("it ended with %v before its context", err)
	}
}
