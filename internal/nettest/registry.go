package nettest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// registry is where iproute2 looks for named namespaces.
const registry = "/run/netns"

// registered is the file that names a namespace.
func registered(name string) string { return filepath.Join(registry, name) }

// register bind-mounts the namespace file at path under a name.
func register(name, path string) error {
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return fmt.Errorf("name namespace %q: the name must be a plain file name", name)
	}
	return withRegistry(func() error {
		target := registered(name)
		file, err := os.OpenFile(target, os.O_RDONLY|os.O_CREATE|os.O_EXCL, 0o444)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("name namespace %q: the name is taken; remove it with \"ip netns del %s\"", name, name)
		}
		if err != nil {
			return fmt.Errorf("name namespace %q: %v", name, err)
		}
		file.Close()
		if err := unix.Mount(path, target, "", unix.MS_BIND, ""); err != nil {
			return errors.Join(fmt.Errorf("mount namespace %q: %v", name, err), os.Remove(target))
		}
		return nil
	})
}

// unregister takes a name away. A name that is gone already is no error.
func unregister(name string) error {
	return withRegistry(func() error {
		target := registered(name)
		// EINVAL: the file is there but nothing is mounted on it.
		err := unix.Unmount(target, unix.MNT_DETACH)
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmount namespace %q: %v", name, err)
		}
		if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the name of namespace %q: %v", name, err)
		}
		return nil
	})
}

// withRegistry runs fn while no other user of this package changes the registry,
// which exists meanwhile and is gone afterwards if it is empty.
//
// The directory must be a mount of its own, as iproute2 makes it: the first "ip
// netns add" would otherwise mount it onto itself and hide our mounts below,
// where nobody can remove them any more.
func withRegistry(fn func() error) error {
	lock, err := lockRun()
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := os.MkdirAll(registry, 0o755); err != nil {
		return fmt.Errorf("make %s: %v; root is needed", registry, err)
	}
	if err := unix.Mount("", registry, "", unix.MS_SHARED|unix.MS_REC, ""); errors.Is(err, unix.EINVAL) {
		if err := unix.Mount(registry, registry, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("mount %s: %v", registry, err)
		}
		if err := unix.Mount("", registry, "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("share mount %s: %v", registry, err)
		}
	} else if err != nil {
		return fmt.Errorf("share mount %s: %v", registry, err)
	}
	err = fn()
	if entries, readErr := os.ReadDir(registry); readErr == nil && len(entries) == 0 {
		// Both fail harmlessly when iproute2 has put a name there meanwhile.
		_ = unix.Unmount(registry, 0)
		_ = os.Remove(registry)
	}
	return err
}

// lockRun takes the lock that keeps two processes apart. It is on the parent,
// since a descriptor of the registry itself would keep it mounted.
func lockRun() (*os.File, error) {
	dir, err := os.Open(filepath.Dir(registry))
	if err != nil {
		return nil, fmt.Errorf("lock %s: %v", registry, err)
	}
	for {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX)
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, unix.EINTR) {
			dir.Close()
			return nil, fmt.Errorf("lock %s: %v", registry, err)
		}
	}
}

// Remove ends what runs in the named namespace and takes its name away, so that
// the leftovers of a process that crashed can be cleared. That the name does
// not exist is no error.
func Remove(name string) error {
	path := registered(name)
	id, err := nsIDOf(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove namespace %q: %v", name, err)
	}
	return errors.Join(endProcesses(id), unregister(name))
}

// Names returns the names of namespaces that begin with prefix, sorted.
func Names(prefix string) ([]string, error) {
	entries, err := os.ReadDir(registry)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %v", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
