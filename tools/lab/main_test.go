package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/nettest"
)

// crashEnv has the test binary bring up the lab it names and die of SIGKILL.
const crashEnv = "LAB_CRASH"

func TestMain(m *testing.M) {
	name := os.Getenv(crashEnv)
	if fault := os.Getenv(fakeEnv); fault != "" && name == "" {
		os.Exit(fakeMain(fault, os.Args[1:]))
	}
	if name != "" {
		crash(name)
	}
	goleak.VerifyTestMain(m)
}

func crash(name string) {
	self, err := os.Executable()
	if err == nil {
		// What comes after is the stand-in, not this again.
		err = os.Unsetenv(crashEnv)
	}
	if err == nil {
		l := &lab{options: options{name: name, backends: 2, mode: "nat", clientAddress: "hide", sluice: self}, report: report{os.Stdout}}
		err = l.up(context.Background())
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// needs skips a test that cannot bring up a lab here.
func needs(t *testing.T) {
	t.Helper()
	nettest.Require(t, nettest.Root, nettest.Namespaces, nettest.BPF)
}

// labName is unique among the test processes of the machine.
func labName(suffix string) string { return fmt.Sprintf("lt%d%s", os.Getpid(), suffix) }

// testOptions are those of a lab that runs the stand-in with a fault.
func testOptions(t *testing.T, fault string) options {
	t.Helper()
	needs(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(fakeEnv, fault)
	return options{
		once: true, name: labName(""), backends: 2, mode: "nat", clientAddress: "hide",
		sluice: self, settle: 5 * time.Second,
	}
}

// wantNoTrace fails the test if anything of the lab is left.
func wantNoTrace(t *testing.T, name string) {
	t.Helper()
	names, err := nettest.Names(name + "-")
	if err != nil || len(names) > 0 {
		t.Errorf("namespaces %q are left (%v)", names, err)
	}
	if _, err := os.Stat(siteDir(name)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is left (%v)", err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), siteDir(name)+"/") {
		t.Errorf("a mount is left (%v)", err)
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands {
		if line, err := os.ReadFile(c); err == nil && bytes.Contains(line, []byte(siteDir(name)+"/")) {
			t.Errorf("a process is left: %s: %q", c, line)
		}
	}
}

func siteDir(name string) string { return "/run/sluice-" + name }

func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q lacks %q", err, w)
		}
	}
}

func TestOnce(t *testing.T) {
	o := testOptions(t, faultNone)
	stopped := filepath.Join(t.TempDir(), "stopped")
	t.Setenv(stoppedEnv, stopped)
	var out bytes.Buffer
	failed, left := runLab(t.Context(), o, &out)
	if failed != nil || left != nil {
		t.Fatalf("failed with %v, left %v; it said:\n%s", failed, left, &out)
	}
	for _, line := range []string{
		"network   " + o.name + "-client 192.0.2.100, ", "backends  ", "settings  /run/sluice-" + o.name + "/sluice.yaml",
		"steering  XDP on ext0 (fake), ", "login     ok, 192.0.2.3 led to b", "counters  ok, b", "drain     ok, the session on b", "gone      ",
	} {
		if !strings.Contains("\n"+out.String(), "\n"+line) {
			t.Errorf("the report lacks a line %q:\n%s", line, &out)
		}
	}
	wantNoTrace(t, o.name)
	// It was stopped and given the time that takes, not swept away.
	if _, err := os.Stat(stopped); err != nil {
		t.Errorf("sluice run did not get to its end: %v", err)
	}
}

func TestFaultsAreFound(t *testing.T) {
	tests := map[string][]string{
		faultDead:       {"wait for sluice run", "has ended", "fake: cannot start"},
		faultNoLogin:    {"login: ", "192.0.2.3:22"},
		faultMiscount:   {"counters: ", "counted"},
		faultSilent:     {"counters: ", "counted 0 flows for one login"},
		faultDrainLeaks: {"drain: ", "although it drains"},
		faultDrainCuts:  {"drain: ", "broke"},
		faultDrainHasty: {"drain: ", "ended while a session lived"},
		faultNoEnable:   {"drain: ", `"disabled", not up`},
	}
	for fault, words := range tests {
		t.Run(fault, func(t *testing.T) {
			o := testOptions(t, fault)
			o.builtIn = true
			failed, left := runLab(t.Context(), o, io.Discard)
			wantError(t, failed, words...)
			if left != nil {
				t.Error(left)
			}
			wantNoTrace(t, o.name)
		})
	}
}

// A backend that stays down is a fault too; nobody waits for it for ever.
func TestBackendThatNeverComesUp(t *testing.T) {
	o := testOptions(t, faultNeverUp)
	o.builtIn = true
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	failed, left := runLab(ctx, o, io.Discard)
	wantError(t, failed, "wait for backends", "backend b1 is down")
	if left != nil {
		t.Error(left)
	}
	wantNoTrace(t, o.name)
}

// page is what is on show, to be looked at meanwhile.
type page struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *page) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func TestLiveUntilInterrupted(t *testing.T) {
	o := testOptions(t, faultNone)
	o.once = false
	ctx, interrupt := context.WithTimeout(t.Context(), time.Minute)
	defer interrupt()
	var out page
	ended := make(chan error, 1)
	go func() {
		failed, left := runLab(ctx, o, &out)
		ended <- errors.Join(failed, left)
	}()
	for strings.Count(out.String(), "BACKEND") < 2 {
		select {
		case err := <-ended:
			t.Fatalf("it ended with %v before anything was shown:\n%s", err, out.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	line := "ip netns exec " + o.name + "-client ssh -F /run/sluice-" + o.name + "/client/ssh_config 192.0.2.3"
	if !strings.Contains(out.String(), line+"\n") {
		t.Errorf("the line %q is not shown:\n%s", line, out.String())
	}
	if login := exec.CommandContext(ctx, "sh", "-c", line+" printenv SLUICE_BACKEND"); nettestHas("ip", "ssh") {
		if who, err := login.CombinedOutput(); err != nil || !strings.HasPrefix(string(who), "b") {
			t.Errorf("the line that is shown leads to %q (%v)", who, err)
		}
	}
	interrupt()
	if err := <-ended; err != nil {
		t.Errorf("Ctrl-C is the normal end, but: %v", err)
	}
	wantNoTrace(t, o.name)
}

func nettestHas(programs ...string) bool {
	for _, p := range programs {
		if _, err := nettest.FindProgram(p); err != nil {
			return false
		}
	}
	return true
}

func TestInterruptedOnTheWayUp(t *testing.T) {
	o := testOptions(t, faultNone)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	failed, left := runLab(ctx, o, io.Discard)
	if !errors.Is(failed, context.Canceled) || left != nil {
		t.Errorf("failed with %v, left %v", failed, left)
	}
	wantNoTrace(t, o.name)
}

func TestRunExitCodes(t *testing.T) {
	o := testOptions(t, faultDead)
	for _, tt := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--no-such"}, 2, "no-such"},
		{[]string{"--backends", "1"}, 2, "2 to 200"},
		{[]string{"--once", "--name", o.name, "--sluice", o.sluice}, 1, "wait for sluice run"},
	} {
		var stderr bytes.Buffer
		if code := run(tt.args, io.Discard, &stderr); code != tt.code || !strings.Contains(stderr.String(), tt.says) {
			t.Errorf("run %q: exit code %d, want %d; it said %q, want %q", tt.args, code, tt.code, stderr.String(), tt.says)
		}
	}
	t.Setenv(fakeEnv, faultNone)
	var stderr bytes.Buffer
	if code := run([]string{"--once", "--built-in", "--name", o.name, "--backends", "2", "--sluice", o.sluice}, io.Discard, &stderr); code != 0 {
		t.Errorf("exit code %d, it said %q", code, stderr.String())
	}
}
