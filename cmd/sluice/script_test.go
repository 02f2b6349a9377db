package main

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write the golden text in testdata/script anew")

type nodeKey struct{}

// TestScripts runs the program as operators do, each script against a node of
// its own. Besides the commands of testscript there are
//
//	code N COMMAND...   the command ends with exit code N
//	await QUESTION N    the node was asked so N times
//	asked QUESTION      the node was asked so
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			dir, err := os.MkdirTemp("", "s") // $WORK is too long for a socket
			if err != nil {
				return err
			}
			e.Defer(func() { _ = os.RemoveAll(dir) })
			n := newFakeNode()
			n.clustered = true
			e.Values[nodeKey{}] = n
			socket, stop := n.start(e.T().(testing.TB), dir)
			e.Defer(stop)
			e.Setenv("SLUICE_SOCKET", socket)
			// The race detector would hold each of these short lives for a second.
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			e.Setenv("SLUICE_CONFIG", e.WorkDir+"/sluice.yaml")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": scriptCode, "await": scriptAwait, "asked": scriptAsked,
		},
	})
}

func scriptCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND...")
	}
	got := 0
	var failed *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &failed) {
		got = failed.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

func scriptAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await QUESTION N")
	}
	n := ts.Value(nodeKey{}).(*fakeNode)
	times, err := strconv.Atoi(args[1])
	ts.Check(err)
	for deadline := time.Now().Add(10 * time.Second); n.count(args[0]) < times; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("the node was not asked %q %d times: %q", args[0], times, n.asked)
		}
	}
}

func scriptAsked(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: asked QUESTION")
	}
	n := ts.Value(nodeKey{}).(*fakeNode)
	if asked := n.count(args[0]) > 0; asked == neg {
		ts.Fatalf("the node was asked %q", n.asked)
	}
}
