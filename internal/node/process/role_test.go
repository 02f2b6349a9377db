package process

import (
	"bufio"
	"io"
	"os/exec"
	"testing"
	"time"
)

// role is a process of this binary that has said its first line.
type role struct {
	*exec.Cmd
	stdin io.Closer
}

// startRole starts a role and waits until it says that it is ready.
func startRole(t *testing.T, args ...string) *role {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &role{Cmd: cmd, stdin: stdin}
	t.Cleanup(r.end)
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatalf("role %v said nothing: %v", args, err)
	}
	return r
}

// end lets the role finish; a second call does nothing.
func (r *role) end() {
	_ = r.stdin.Close()
	_ = r.Wait()
}

// eventually fails the test unless the condition comes true in time.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come about", what)
		}
	}
}
