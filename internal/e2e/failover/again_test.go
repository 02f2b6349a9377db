package failover

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/nettest/stall"
)

// A gateway that is not run for three advert intervals loses its role, as it should;
// a test in which that happened unasked proves nothing, whatever it says. So one
// that failed while the machine stood still is run again, by itself.
const (
	// worth is how long the machine must stand still for that: what a ping may take, a
	// third of what a gateway may miss.
	worth = 100 * time.Millisecond
	// attempts is how often a test is run at most, tried the variable that counts.
	attempts = 3
	tried    = "SLUICE_TEST_TRIED"
)

// calmness knows what the machine did while each test ran.
type calmness struct {
	watcher *stall.Watcher

	mu    sync.Mutex
	stood map[string]time.Duration // by test
}

var still calmness

// begin has the time until the end of a test watched; every test with gateways says
// it.
func (c *calmness) begin(t *testing.T) {
	began := time.Now()
	name, _, _ := strings.Cut(t.Name(), "/")
	t.Cleanup(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stood[name] = max(c.stood[name], c.watcher.Longest(began))
	})
}

// undisturbed runs tests, and those again that the machine disturbed.
func undisturbed(tests func() int) int {
	still = calmness{watcher: stall.Watch(worth), stood: map[string]time.Duration{}}
	code, failed := failures(tests)
	still.watcher.Close()
	if code == 0 {
		return 0
	}
	n, _ := strconv.Atoi(os.Getenv(tried)) // 0 the first time
	if n++; n >= attempts || len(failed) == 0 {
		return code
	}
	if slices.ContainsFunc(failed, func(name string) bool { return still.stood[name] == 0 }) {
		return code
	}
	for _, name := range failed {
		fmt.Fprintf(os.Stderr, "the machine stood still for %v during %s: it is run again\n", still.stood[name].Round(time.Millisecond), name)
	}
	again := exec.Command(os.Args[0], append(slices.Clone(os.Args[1:]), "-test.run=^("+strings.Join(failed, "|")+")$")...)
	again.Env = append(os.Environ(), tried+"="+strconv.Itoa(n))
	again.Stdout, again.Stderr = os.Stdout, os.Stderr
	if err := again.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "again:", err)
		return 1
	}
	return 0
}

// failed is how the testing package tells of a test that failed, not of a part.
var failed = regexp.MustCompile(`^\x16?--- FAIL: ([^/ ]+) \(`)

// failures runs tests and returns the names of those that failed.
func failures(tests func() int) (code int, names []string) {
	r, w, err := os.Pipe()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, nil
	}
	stdout := os.Stdout
	os.Stdout = w
	read := make(chan struct{})
	go func() {
		defer close(read)
		names = copyFailures(stdout, r)
	}()
	code = tests()
	os.Stdout = stdout
	w.Close()
	<-read
	return code, names
}

func copyFailures(to io.Writer, from io.Reader) (names []string) {
	var line []byte
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		_, _ = to.Write(b[:n])
		for part := range bytes.Lines(b[:n]) {
			if line = append(line, part...); line[len(line)-1] != '\n' {
				continue
			}
			if m := failed.FindSubmatch(line); m != nil {
				names = append(names, string(m[1]))
			}
			line = line[:0]
		}
		if err != nil {
			return names
		}
	}
}

func TestFailuresAreRead(t *testing.T) {
	text := "=== RUN   TestA\n--- FAIL: TestA (0.10s)\n    --- FAIL: TestA/part (0.10s)\n    x_test.go:1: --- FAIL: TestNo (1s)\n" +
		"--- PASS: TestB (1.00s)\n\x16--- FAIL: TestC (0.00s)\nFAIL\n--- FAIL: TestD (2s)"
	for _, size := range []int{1, 7, 1 << 10} {
		var out bytes.Buffer
		got := copyFailures(&out, &trickle{text, size})
		if !slices.Equal(got, []string{"TestA", "TestC"}) || out.String() != text {
			t.Errorf("%d bytes at a time: %q", size, got)
		}
	}
}

// trickle is read some bytes at a time.
type trickle struct {
	rest string
	size int
}

func (r *trickle) Read(b []byte) (int, error) {
	if r.rest == "" {
		return 0, io.EOF
	}
	n := copy(b[:min(r.size, len(b))], r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
