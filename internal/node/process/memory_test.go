package process

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// A limit is a reason not to lock anything: what is allocated at it fails.
func TestKeepMemoryUnderALimit(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", `ulimit -S -l 64 && exec "$0" keep`, self)
	said, _ := cmd.CombinedOutput() // to be refused is to fail
	if !strings.Contains(string(said), "the limit (RLIMIT_MEMLOCK) is 65536 bytes") {
		t.Errorf("said %q", said)
	}
}

// What is locked is what is in use, not all that a Go program reserves.
func TestLockMemory(t *testing.T) {
	nettest.Require(t, nettest.Root)
	said := outputUnder(t, confinement{caps: capSet(unix.CAP_IPC_LOCK)}, "keep", "anyway")
	fields := strings.Fields(said)
	if len(fields) != 3 || fields[0] != "VmLck:" {
		t.Fatalf("said %q", said)
	}
	if kb, err := strconv.Atoi(fields[1]); err != nil || kb == 0 {
		t.Errorf("said %q", said)
	}
}

// The parent's own limit is what it was, whether it could lift it or not.
func TestMemlockLimitComesBack(t *testing.T) {
	var before, after unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &before); err != nil {
		t.Fatal(err)
	}
	called := false
	withoutMemlockLimit(func() { called = true })
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &after); err != nil || before != after || !called {
		t.Errorf("the limit is %+v, was %+v, %v; called %t", after, before, err, called)
	}
}

// Whether this machine lets us or not, it is clear which.
func TestSpare(t *testing.T) {
	other := startRole(t, "child")
	pid := other.Process.Pid
	err := spare(pid)
	text, readErr := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/oom_score_adj")
	if readErr != nil {
		t.Fatal(readErr)
	}
	if spared := strings.TrimSpace(string(text)) == "-900"; spared != (err == nil) || err != nil && !strings.Contains(err.Error(), "CAP_SYS_RESOURCE") {
		t.Errorf("oom_score_adj is %s, %v", text, err)
	}
	other.end()
	if err := spare(pid); err != nil {
		t.Errorf("of one that has ended: %v", err)
	}
}
