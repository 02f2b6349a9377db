package nettest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// TB is the part of testing.TB that this package uses.
type TB interface {
	Helper()
	Cleanup(func())
	Skipf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// RequireEnv names the environment variable that turns skips into failures: with
// the value "all" a test that cannot have what it needs fails.
const RequireEnv = "SLUICE_TEST_REQUIRE"

// Need is something of the machine that a test cannot do without.
type Need struct {
	name    string
	missing func() error
}

// What tests may need.
var (
	// Root is user id 0.
	Root = Need{"root", func() error {
		if uid := os.Geteuid(); uid != 0 {
			return fmt.Errorf("the user id is %d", uid)
		}
		return nil
	}}
	// Namespaces is the right to make network namespaces.
	Namespaces = Need{"network namespaces", func() error {
		return onThread(func() error { return unix.Unshare(unix.CLONE_NEWNET) }, func() error { return nil })
	}}
	// BPF is the right to load XDP programs.
	BPF = Need{"BPF", func() error {
		program, err := passProgram()
		if err != nil {
			return err
		}
		return program.Close()
	}}
)

// Program is the need for a program, found in PATH or among the administrator's
// programs, which are not in everybody's PATH.
func Program(name string) Need {
	return Need{"program " + name, func() error {
		_, err := FindProgram(name)
		return err
	}}
}

// FindProgram returns the absolute path of a program; sbin directories count
// although they may be missing in PATH.
func FindProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("find program %q: it is not installed", name)
}

// Require skips the test unless every need is met, and says which is not and
// why. Where [RequireEnv] is "all" it fails the test instead.
func Require(t TB, needs ...Need) {
	t.Helper()
	var missing []error
	for _, n := range needs {
		if err := n.missing(); err != nil {
			missing = append(missing, fmt.Errorf("%s: %v", n.name, err))
		}
	}
	if len(missing) == 0 {
		return
	}
	reasons := strings.ReplaceAll(errors.Join(missing...).Error(), "\n", "; ")
	if os.Getenv(RequireEnv) == "all" {
		t.Fatalf("needs %s (and %s=all forbids to skip)", reasons, RequireEnv)
		return
	}
	t.Skipf("needs %s", reasons)
}

// ForTest returns a namespace without a name that is closed when the test ends.
// It skips the test where namespaces cannot be made.
func ForTest(t TB) *Namespace {
	t.Helper()
	Require(t, Root, Namespaces)
	n, err := New("")
	if err != nil {
		t.Fatalf("%v", err)
	}
	closeAfter(t, n.Close)
	return n
}

// closeAfter fails the test if something does not close cleanly at its end.
func closeAfter(t TB, fn func() error) {
	t.Helper()
	t.Cleanup(func() {
		if err := fn(); err != nil {
			t.Errorf("%v", err)
		}
	})
}
