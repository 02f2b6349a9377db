package control

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestListenPermissions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := info.Mode(), fs.ModeSocket|0o660; got != want {
		t.Errorf("mode %v, want %v", got, want)
	}
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

// TestListenReplaces takes the path from a node that still listens. The new
// one answers from then on, and the old one's end does not remove its socket.
func TestListenReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.sock")
	old, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	successor, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = successor.Close() }()
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("after the old listener closed: %v", err)
	}
	_ = c.Close()
}

func TestListenAfterCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.sock")
	for _, stale := range []string{path, temporaryName(path)} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		_ = l.Close()
	}
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestListenLongPath uses all the room that the settings allow.
func TestListenLongPath(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for _, last := range []string{"x", "~"} {
		path := dir + "/" + strings.Repeat("x", 107-len(dir)-2) + last
		l, err := Listen(path)
		if err != nil {
			t.Fatalf("%d bytes: %v", len(path), err)
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		_ = l.Close()
	}
}

func TestListenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file:                                 "a file stands there",
		link:                                 "a symbolic link stands there",
		dir:                                  "a directory stands there",
		filepath.Join(dir, "absent", "sock"): "no such file or directory",
		"/" + strings.Repeat("x", 107):       "not a path of 1 to 107 bytes",
		"":                                   "not a path of 1 to 107 bytes",
	} {
		l, err := Listen(path)
		if err == nil {
			_ = l.Close()
			t.Errorf("%s: listens", path)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %q, want %q in it", path, err, want)
		}
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "precious" {
		t.Errorf("the file is now %q (%v)", data, err)
	}
	if _, err := os.Lstat(temporaryName(file)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a temporary socket was left behind: %v", err)
	}
}
