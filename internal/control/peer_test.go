package control

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/nettest"
)

func TestPeerRule(t *testing.T) {
	self := uint32(os.Geteuid())
	for _, tt := range []struct {
		peer    peer
		allowed bool
	}{
		{peer{uid: 0}, true},
		{peer{uid: self}, true},
		{peer{uid: self + 1}, false},
		{peer{uid: 65534}, false}, // what the kernel says of a uid of another user namespace
		{peer{err: errors.New("no credentials")}, false},
	} {
		err := allowRootAndSelf(tt.peer)
		if allowed := err == nil; allowed != tt.allowed {
			t.Errorf("%+v: error %v, want allowed %t", tt.peer, err, tt.allowed)
		}
		if err != nil && !IsCode(err, CodeForbidden) {
			t.Errorf("%+v: error %v, want code forbidden", tt.peer, err)
		}
	}
}

// TestGuardAsksBeforeAnythingElse refuses everybody: neither reads nor orders
// nor unknown paths get past it, on any request of a connection.
func TestGuardAsksBeforeAnythingElse(t *testing.T) {
	m := &memory{}
	s := New(m.options())
	var seen []peer
	s.allow = func(p peer) error {
		seen = append(seen, p)
		return NewError(CodeForbidden, "nobody may", "")
	}
	c := dial(t, serve(t, s))
	for _, path := range []string{"/v1/status", "/v1/status", "/v1/events", "/nowhere"} {
		r, err := c.open(context.Background(), http.MethodGet, path, nil, nil)
		if err == nil {
			_ = r.Body.Close()
		}
		if !IsCode(err, CodeForbidden) {
			t.Errorf("%s: error %v, want code forbidden", path, err)
		}
	}
	if asked := m.last(); asked != "" {
		t.Errorf("a refused peer reached a source: %s", asked)
	}
	for _, p := range seen {
		if p.err != nil || p.uid != uint32(os.Geteuid()) || p.pid != int32(os.Getpid()) {
			t.Errorf("peer was read as %+v", p)
		}
	}
	if len(seen) != 4 {
		t.Errorf("the guard was asked %d times", len(seen))
	}
}

func TestReadPeerOfAnotherSocket(t *testing.T) {
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	if p := readPeer(a); allowRootAndSelf(p) == nil {
		t.Errorf("%+v is let in", p)
	}
}

const socketEnv = "SLUICE_TEST_PEER_SOCKET"

// TestPeerOfAnotherUser lets a process of the user nobody past the file's
// permissions; the server still refuses it and says why.
func TestPeerOfAnotherUser(t *testing.T) {
	if socket := os.Getenv(socketEnv); socket != "" {
		_, err := NewClient(socket).Status(context.Background())
		if !IsCode(err, CodeForbidden) || !strings.Contains(err.Error(), "user id 65534 may not") {
			t.Errorf("error %v, want code forbidden", err)
		}
		return
	}
	nettest.Require(t, nettest.Root)
	socket := serve(t, New((&memory{}).options()))
	program := filepath.Join(filepath.Dir(socket), "test")
	data, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, data, 0o755); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(socket); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		t.Fatal(err)
	}
	run := exec.Command(program, "-test.run=^TestPeerOfAnotherUser$", "-test.v")
	run.Dir = filepath.Dir(socket)
	run.Env = append(os.Environ(), socketEnv+"="+socket)
	run.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := run.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestPeerOfAnotherUser") {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}
