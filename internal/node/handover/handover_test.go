package handover

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// taken notes what it is given.
type taken struct {
	mu       sync.Mutex
	services []string
	addrs    []string
	err      error
}

func (k *taken) SetListener(service string, f *os.File) error {
	if k.err != nil {
		return k.err
	}
	l, err := net.FileListener(f)
	if err != nil {
		return err
	}
	defer l.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.services = append(k.services, service)
	k.addrs = append(k.addrs, l.Addr().String())
	return nil
}

func (k *taken) last() (service, addr string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.services) == 0 {
		return "", ""
	}
	return k.services[len(k.services)-1], k.addrs[len(k.addrs)-1]
}

func serve(t *testing.T, k *taken) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "handover.sock")
	s, err := Listen(path, k, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return path
}

func listening(t *testing.T) (*os.File, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, l.Addr().String()
}

func TestGive(t *testing.T) {
	var k taken
	path := serve(t, &k)
	f, addr := listening(t)
	for _, service := range []string{"login", strings.Repeat("x", maxName)} {
		if err := Give(t.Context(), path, service, f); err != nil {
			t.Fatal(err)
		}
		if got, at := k.last(); got != service || at != addr {
			t.Errorf("the node took %s for %q, given was %s for %q", at, got, addr, service)
		}
	}
}

func TestGiveRefused(t *testing.T) {
	k := &taken{err: errors.New("service \"login\" is not in mode sshd")}
	path := serve(t, k)
	f, _ := listening(t)
	for service, want := range map[string]string{
		"login":                        "not in mode sshd",
		"":                             "1 to 255",
		strings.Repeat("x", maxName+1): "1 to 255",
	} {
		if err := Give(t.Context(), path, service, f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("giving for %.10q: %v, want %q", service, err, want)
		}
	}
	if err := Give(t.Context(), path+"x", "login", f); err == nil {
		t.Error("giving to a socket that is not there succeeded")
	}
}

// TestHostile sends what no giver would; each is answered, and the server goes
// on and leaks no descriptor.
func TestHostile(t *testing.T) {
	var k taken
	path := serve(t, &k)
	f, _ := listening(t)
	before := openFiles(t)
	for name, send := range map[string]func(*net.UnixConn) error{
		"no descriptor": func(c *net.UnixConn) error {
			_, err := c.Write([]byte("login"))
			return err
		},
		"two descriptors": func(c *net.UnixConn) error {
			_, _, err := c.WriteMsgUnix([]byte("login"), unix.UnixRights(int(f.Fd()), int(f.Fd())), nil)
			return err
		},
		"long name": func(c *net.UnixConn) error {
			_, _, err := c.WriteMsgUnix(make([]byte, 2*maxName), unix.UnixRights(int(f.Fd())), nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.DialUnix(networkName, nil, &net.UnixAddr{Name: path, Net: networkName})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := send(c); err != nil {
				t.Fatal(err)
			}
			if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if err := answer(c, "login"); err == nil {
				t.Error("it was taken")
			}
		})
	}
	if service, _ := k.last(); service != "" {
		t.Errorf("a listener was taken for %q", service)
	}
	if err := Give(t.Context(), path, "login", f); err != nil {
		t.Errorf("giving after all that: %v", err)
	}
	// The server closes its end after the answer was read.
	for deadline := time.Now().Add(10 * time.Second); openFiles(t) > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors are open, %d were before", openFiles(t), before)
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
