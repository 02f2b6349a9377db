package loader_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/nettest"
	"sluice/loader"
)

// jobEnv makes the test binary a process that opens what it describes.
const jobEnv = "LOADER_TEST_OPEN"

func TestMain(m *testing.M) {
	if job := os.Getenv(jobEnv); job != "" {
		os.Exit(work(job))
	}
	goleak.VerifyTestMain(m)
}

// opened is what such a process says when it has opened the dataplane.
const opened = "opened"

// work opens the dataplane, says so or why not, and holds it until standard
// input ends.
func work(job string) int {
	var o loader.Options
	if err := json.Unmarshal([]byte(job), &o); err != nil {
		fmt.Println(err)
		return 1
	}
	dp, err := loader.Open(o)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(opened, dp.Attachments())
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := dp.Close(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// process is another process that opened a dataplane, or failed to.
type process struct {
	cmd  *nettest.Cmd
	in   io.Closer
	said string // its first line, or all of it where it ended at once
}

// otherProcess starts one inside a namespace and waits for its word. It has the
// capabilities given and no other, or root's where none is given.
func otherProcess(t *testing.T, n *nettest.Namespace, o loader.Options, capabilities ...uintptr) *process {
	t.Helper()
	job, err := json.Marshal(o)
	must(t, err)
	// Not by its path: below /tmp that is root's alone.
	cmd := n.Command(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), jobEnv+"="+string(job))
	if capabilities != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		cmd.SysProcAttr.AmbientCaps = capabilities
	}
	p := &process{cmd: cmd}
	p.in, err = cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(p.end)
	reader := bufio.NewReader(out)
	p.said, err = reader.ReadString('\n')
	if err != nil || !strings.HasPrefix(p.said, opened) {
		rest, _ := io.ReadAll(reader)
		p.said += string(rest)
	}
	return p
}

// nobody is a user without any right.
const nobody = 65534

func (p *process) opened() bool { return strings.HasPrefix(p.said, opened) }

// end lets the process close the dataplane and waits for it.
func (p *process) end() {
	p.in.Close()
	_ = p.cmd.Wait()
}

// kill ends it as a crash would.
func (p *process) kill(t *testing.T) {
	t.Helper()
	must(t, p.cmd.Process.Kill())
	var exit *exec.ExitError
	if err := p.cmd.Wait(); !errors.As(err, &exit) {
		t.Fatalf("a killed process ended by %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError fails the test unless err holds all the words, in one line.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", words)
	}
	wantText(t, err.Error(), words...)
}

func wantText(t *testing.T, text string, words ...string) {
	t.Helper()
	if missing := slices.DeleteFunc(words, func(w string) bool { return strings.Contains(text, w) }); len(missing) > 0 {
		t.Errorf("error %q lacks %q", text, missing)
	}
	if strings.Contains(strings.TrimSpace(text), "\n") {
		t.Errorf("error %q is longer than a line", text)
	}
}

// patience is how long the tests wait for what should come at once.
const patience = 60 * time.Second

// eventually fails the test unless cond becomes true soon.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	wait(t, 2*time.Millisecond, what, cond)
}

// inTicks is eventually for what takes seconds, and where a look costs.
func inTicks(t *testing.T, what string, cond func() bool) {
	t.Helper()
	wait(t, 100*time.Millisecond, what, cond)
}

func wait(t *testing.T, every time.Duration, what string, cond func() bool) {
	t.Helper()
	look := time.NewTicker(every)
	defer look.Stop()
	for deadline := time.Now().Add(patience); !cond(); <-look.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain: %s", patience, what)
		}
	}
}
