package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// siteDir is where benchmarks have their folders: root's alone, and empty after
// a boot.
const siteDir = "/run"

const sitePrefix = "sluice-bench-"

// site is the folder of one run, with a BPF file system for pins and room for
// files. A lock tells the folder of a living run from what a dead one left.
type site struct {
	dir, bpffs string
	lock       *os.File
}

// openSite makes the folder of this run, and removes those of dead ones: their
// pinned maps hold memory.
func openSite() (*site, error) {
	if err := sweepSites(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(siteDir, sitePrefix)
	if err != nil {
		return nil, fmt.Errorf("make the folder of this run: %v; root is needed", err)
	}
	s := &site{dir: dir, bpffs: filepath.Join(dir, "bpf")}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *site) open() (err error) {
	if s.lock, err = lockFolder(s.dir); err != nil {
		return err
	}
	if err := os.Mkdir(s.bpffs, 0o700); err != nil {
		return fmt.Errorf("make folder for pins: %v", err)
	}
	if err := unix.Mount("bpf", s.bpffs, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
		return fmt.Errorf("mount bpffs on %s: %v", s.bpffs, err)
	}
	return nil
}

func (s *site) close() error {
	err := removeSite(s.dir)
	if s.lock != nil {
		s.lock.Close()
	}
	return err
}

func lockFolder(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open %s: %v", dir, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
	}
	return f, nil
}

// removeSite removes a folder with what is mounted in it: the run's own BPF file
// system, and those of programs that were started.
func removeSite(dir string) error {
	mounts, err := filepath.Glob(filepath.Join(dir, "*", "bpf"))
	if err != nil {
		return err
	}
	for _, at := range append(mounts, filepath.Join(dir, "bpf")) {
		err := unix.Unmount(at, unix.MNT_DETACH)
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmount %s: %v", at, err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove %s: %v", dir, err)
	}
	return nil
}

func sweepSites() error {
	dirs, err := filepath.Glob(filepath.Join(siteDir, sitePrefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		lock, err := lockFolder(dir)
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, removeSite(dir), lock.Close())
	}
	return errors.Join(errs...)
}
