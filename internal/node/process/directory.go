package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// directory is one the node owns and the parent makes.
type directory struct {
	key  string // the setting that names it
	path string
	mode fs.FileMode
	// ours are the names found in it. A directory of another owner with other
	// things in it is not taken: /run or /var/lib may be a slip in the settings.
	ours []string
	// whole takes the directory whatever it holds: pins have any name.
	whole bool
}

// make makes the directory where it is missing. Whose it is is settled by give,
// once the locks in it say that nobody else uses it.
func (d directory) make() error {
	if err := os.MkdirAll(filepath.Dir(d.path), 0o755); err != nil {
		return fmt.Errorf("make %s: %v", d.key, err)
	}
	err := os.Mkdir(d.path, d.mode)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make %s: %v", d.key, err)
	}
	return nil
}

// give makes the directory, with what is in it, the node's.
func (d directory) give(uid, gid int) error {
	// A root of its own: the files may be the node's, and a link planted by it
	// must not make root give away something outside.
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return fmt.Errorf("open %s: %v", d.key, err)
	}
	defer root.Close()
	info, err := root.Stat(".")
	if err != nil {
		return fmt.Errorf("open %s: %v", d.key, err)
	}
	if owner(info) == uid {
		return nil
	}
	if err := d.refuseForeign(root); err != nil {
		return err
	}
	return d.handOver(root, uid, gid)
}

func (d directory) refuseForeign(root *os.Root) error {
	if d.whole {
		return nil
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return fmt.Errorf("open %s: %v", d.key, err)
	}
	for _, e := range entries {
		if !slices.Contains(d.ours, e.Name()) {
			return fmt.Errorf("use %q as %s: it belongs to another user and holds %q, which is not sluice's: name a directory of its own",
				d.path, d.key, e.Name())
		}
	}
	return nil
}

// handOver changes owners from the top down. What is there was made by an
// earlier node under another user, or by systemd (RuntimeDirectory=).
func (d directory) handOver(root *os.Root, uid, gid int) error {
	return fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = root.Lchown(path, uid, gid)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("give %s to the node: %v", d.key, err)
		}
		return nil
	})
}

func owner(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
