package process

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if pid, err := holder(path); pid != 0 || err != nil {
		t.Fatalf("no file, held by %d, %v", pid, err)
	}
	other := startRole(t, "lock", path)

	_, err := lock(path)
	var held *lockedError
	if !errors.As(err, &held) || held.pid != other.Process.Pid || held.path != path {
		t.Fatalf("lock = %v, want one held by process %d", err, other.Process.Pid)
	}
	if pid, err := holder(path); pid != other.Process.Pid || err != nil {
		t.Errorf("held by %d, %v; want %d", pid, err, other.Process.Pid)
	}

	other.end()
	if pid, err := holder(path); pid != 0 || err != nil {
		t.Errorf("after its end held by %d, %v", pid, err)
	}
	f, err := lock(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
}

// The directory is the node's: a link it plants must not lead root elsewhere.
func TestLockFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "precious")
	if err := os.Symlink(target, filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
	if f, err := lock(filepath.Join(dir, "lock")); err == nil {
		_ = f.Close()
		t.Error("a link was followed")
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("the file behind the link was made")
	}
}

func TestLockAllIsAllOrNothing(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	startRole(t, "lock", filepath.Join(b, parentLock))
	if held, err := lockAll(a, b); err == nil {
		t.Fatalf("%d locks taken although one is another's", len(held))
	}
	// a must be free again for another process; this one's own locks never
	// stand in its way.
	startRole(t, "lock", filepath.Join(a, parentLock))
}
