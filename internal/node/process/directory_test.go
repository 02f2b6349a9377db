package process

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/nettest"
)

func ownerOf(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return owner(info)
}

// prepare does both steps.
func (d directory) prepare(uid, gid int) error {
	if err := d.make(); err != nil {
		return err
	}
	return d.give(uid, gid)
}

func TestDirectoryIsMade(t *testing.T) {
	nettest.Require(t, nettest.Root)
	uid, gid := nobody(t)
	d := directory{key: "node.data_dir", path: filepath.Join(t.TempDir(), "var", "lib", "sluice"), mode: 0o700}
	for range 2 { // the second time it is there
		if err := d.prepare(uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(d.path)
	if err != nil {
		t.Fatal(err)
	}
	if owner(info) != uid || info.Mode() != 0o700|fs.ModeDir {
		t.Errorf("owner %d, mode %v", owner(info), info.Mode())
	}
	if above := ownerOf(t, filepath.Dir(d.path)); above != 0 {
		t.Errorf("the directory above belongs to %d", above)
	}
}

// The user of an earlier run was another: what it left changes hands, links
// themselves and never what they lead to.
func TestDirectoryChangesHands(t *testing.T) {
	nettest.Require(t, nettest.Root)
	uid, gid := nobody(t)
	base := t.TempDir()
	outside := filepath.Join(base, "outside")
	path := filepath.Join(base, "data")
	for _, f := range []string{outside, filepath.Join(path, "settings", "1"), filepath.Join(path, "key")} {
		if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(path, "settings", "link")); err != nil {
		t.Fatal(err)
	}
	d := directory{key: "node.data_dir", path: path, ours: []string{"settings", "key"}}
	if err := d.prepare(uid, gid); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]int{
		path: uid, path + "/settings": uid, path + "/settings/1": uid, path + "/key": uid, path + "/settings/link": uid,
		outside: 0,
	} {
		if got := ownerOf(t, file); got != want {
			t.Errorf("%s belongs to %d, want %d", file, got, want)
		}
	}
}

// A slip in the settings must not give /run or /var/lib to the node.
func TestDirectoryOfOthersIsRefused(t *testing.T) {
	nettest.Require(t, nettest.Root)
	uid, gid := nobody(t)
	path := t.TempDir()
	if err := os.WriteFile(filepath.Join(path, "utmp"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d := directory{key: "node.data_dir", path: path, ours: []string{"settings"}}
	err := d.prepare(uid, gid)
	if err == nil || !strings.Contains(err.Error(), "utmp") || !strings.Contains(err.Error(), "node.data_dir") {
		t.Errorf("prepare = %v, want the key and the foreign name", err)
	}
	if got := ownerOf(t, path); got != 0 {
		t.Errorf("it belongs to %d now", got)
	}
	if err := d.prepare(0, 0); err != nil {
		t.Errorf("its own owner is refused: %v", err)
	}
	d.whole = true
	if err := d.prepare(uid, gid); err != nil {
		t.Errorf("a directory taken whole is refused: %v", err)
	}
}

func TestDirectoryThatIsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := directory{key: "node.data_dir", path: path}.prepare(os.Geteuid(), os.Getegid())
	if err == nil || !strings.Contains(err.Error(), "node.data_dir") {
		t.Errorf("prepare = %v", err)
	}
}
