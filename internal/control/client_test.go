package control

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestClientUnreachable(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	for socket, want := range map[string]error{
		filepath.Join(dir, "absent"): fs.ErrNotExist,
		dead:                         syscall.ECONNREFUSED,
	} {
		_, err := dial(t, socket).Status(context.Background())
		var unreachable *UnreachableError
		if !errors.As(err, &unreachable) || unreachable.Socket != socket || !errors.Is(err, want) {
			t.Errorf("%s: error %#v, want an UnreachableError of %v", socket, err, want)
		}
		if !strings.HasPrefix(err.Error(), "reach node at \""+socket+"\": ") || strings.Contains(err.Error(), "http://") || strings.Contains(err.Error(), "dial unix") {
			t.Errorf("error reads %q", err)
		}
	}
}

func TestClientContext(t *testing.T) {
	c := dial(t, serve(t, New((&memory{}).options())))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Status(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// TestClientLateAnswer asks a process that accepts and then says nothing, as a
// stopped one does.
func TestClientLateAnswer(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "c.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err = dial(t, socket).Status(ctx)
	var unreachable *UnreachableError
	if !errors.As(err, &unreachable) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %#v, want an UnreachableError of %v", err, os.ErrDeadlineExceeded)
	}
}

// TestClientOfAStranger reads the answers of something that is not a node.
func TestClientOfAStranger(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "c.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/version":
			_, _ = w.Write([]byte("<html>"))
		case "/v1/nodes":
			panic(http.ErrAbortHandler)
		default:
			http.Error(w, "teapot", http.StatusTeapot)
		}
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	c := dial(t, socket)
	ctx := context.Background()
	if _, err := c.Version(ctx); err == nil || !strings.Contains(err.Error(), "read answer of node") {
		t.Errorf("HTML: error %v", err)
	}
	if _, err := c.Status(ctx); err == nil || !strings.Contains(err.Error(), "status 418") {
		t.Errorf("teapot: error %v", err)
	}
	var unreachable *UnreachableError
	if _, err := c.Nodes(ctx); !errors.As(err, &unreachable) {
		t.Errorf("hung up: error %v, want an UnreachableError", err)
	}
	if _, err := c.Events(ctx, EventFilter{}); err == nil {
		t.Error("events of a teapot")
	}
}

// TestClientIgnoresNewFields: a newer node may say more.
func TestClientIgnoresNewFields(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "c.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"version":"v9","of_tomorrow":true}`))
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	if b, err := dial(t, socket).Version(context.Background()); err != nil || b.Version != "v9" {
		t.Errorf("%+v, %v", b, err)
	}
}
