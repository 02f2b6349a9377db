package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// runDir is where the labs have their directories: on every machine it is
// root's alone, and empty after a boot.
const runDir = "/run"

// site is the directory of a lab, which holds all of its files and mounts and
// exists as long as anything of the lab does. A lock on it tells a living lab
// from what a dead one left.
type site struct {
	name, dir string
	lock      *os.File
}

// dirOf is where the lab of a name has its directory.
func dirOf(name string) string { return filepath.Join(runDir, "sluice-"+name) }

// openSite takes the site for this process. What a dead lab of the same name
// left is removed first, and swept says so.
func openSite(name string) (s *site, swept bool, err error) {
	s = &site{name: name, dir: dirOf(name)}
	made, err := s.acquire()
	if err != nil {
		return nil, false, err
	}
	if !made {
		if err := s.sweep(); err != nil {
			return nil, false, errors.Join(fmt.Errorf("remove what a dead lab left: %v", err), s.lock.Close())
		}
	}
	pid := []byte(strconv.Itoa(os.Getpid()) + "\n")
	if err := os.WriteFile(s.file("pid"), pid, 0o644); err != nil {
		return nil, false, errors.Join(fmt.Errorf("write process number: %v", err), s.close())
	}
	return s, !made, nil
}

// at is the directory; there is none without a site.
func (s *site) at() string {
	if s == nil {
		return ""
	}
	return s.dir
}

func (s *site) file(name string) string { return filepath.Join(s.dir, name) }

// mkdir makes a directory in the site for something's own files.
func (s *site) mkdir(name string) (string, error) {
	if err := os.Mkdir(s.file(name), 0o700); err != nil {
		return "", fmt.Errorf("make directory: %v", err)
	}
	return s.file(name), nil
}

// acquire makes the directory, or finds it, and locks it.
func (s *site) acquire() (made bool, err error) {
	for {
		err := os.Mkdir(s.dir, 0o755)
		made := err == nil
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return false, fmt.Errorf("make the lab's directory: %v; root is needed", err)
		}
		lock, err := os.Open(s.dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("open the lab's directory: %v", err)
		}
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			lock.Close()
			return false, s.taken(err)
		}
		// A lab that ended meanwhile has removed the directory we locked.
		if same(lock, s.dir) {
			s.lock = lock
			return made, nil
		}
		lock.Close()
	}
}

// same compares by inode: a path may lead to another directory by now.
func same(file *os.File, path string) bool {
	a, errA := file.Stat()
	b, errB := os.Stat(path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// taken says who has the lock, for people to find it.
func (s *site) taken(cause error) error {
	if !errors.Is(cause, unix.EWOULDBLOCK) {
		return fmt.Errorf("lock %s: %v", s.dir, cause)
	}
	pid := "unknown"
	if text, err := os.ReadFile(s.file("pid")); err == nil {
		pid = strings.TrimSpace(string(text))
	}
	return fmt.Errorf("a lab %q runs already, process %s: end it, or choose another --name", s.name, pid)
}

// sweep removes what a dead lab left but the directory itself: processes and
// namespaces, mounts, files.
func (s *site) sweep() error {
	return errors.Join(s.sweepNamespaces(), s.sweepMounts(), s.sweepFiles())
}

// sweepNamespaces removes those that a lab makes, by their whole names: another
// "lab-..." may be somebody's own.
func (s *site) sweepNamespaces() error {
	all, err := nettest.Names(s.name + "-")
	if err != nil {
		return err
	}
	ours := regexp.MustCompile(`^` + s.name + `-(client|gw(-[abc])?|switch|router|ext|int|hb|b[0-9]+)$`)
	var errs []error
	for _, name := range all {
		if ours.MatchString(name) {
			errs = append(errs, nettest.Remove(name))
		}
	}
	return errors.Join(errs...)
}

// sweepMounts unmounts what is mounted in the site, the last mount first.
func (s *site) sweepMounts() error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("list mounts: %v", err)
	}
	var errs []error
	for _, point := range slices.Backward(mountsBelow(string(text), s.dir)) {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("unmount %s: %v", point, err))
		}
	}
	return errors.Join(errs...)
}

// mountsBelow returns the mount points below a directory, in mounting order.
// The fifth field of a line of mountinfo is the mount point.
func mountsBelow(mountinfo, dir string) []string {
	var points []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			points = append(points, fields[4])
		}
	}
	return points
}

// sweepFiles comes after sweepMounts, or it would remove the pins one by one.
func (s *site) sweepFiles() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("list %s: %v", s.dir, err)
	}
	var errs []error
	for _, e := range entries {
		errs = append(errs, os.RemoveAll(s.file(e.Name())))
	}
	return errors.Join(errs...)
}

// close removes the site with its files and mounts. The namespaces are closed
// before; one that has a name of ours now is somebody else's.
func (s *site) close() error {
	err := errors.Join(s.sweepMounts(), s.sweepFiles())
	if err == nil {
		err = os.Remove(s.dir)
	}
	return errors.Join(err, s.lock.Close())
}

// abandon leaves the site to be swept by the next lab of the name.
func (s *site) abandon() error { return s.lock.Close() }
