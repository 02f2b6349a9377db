package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// systemBPFFS is where every distribution mounts bpffs.
const systemBPFFS = "/sys/fs/bpf"

// mountPointFor returns where bpffs must be mounted for pins to stand on it,
// "" when they do already.
func mountPointFor(pins string) (string, error) {
	on, err := onBPFFS(pins)
	if err != nil || on {
		return "", err
	}
	if pins == systemBPFFS || strings.HasPrefix(pins, systemBPFFS+"/") {
		return systemBPFFS, nil
	}
	return pins, nil
}

// onBPFFS says whether a path, or the nearest directory above it that exists,
// is on a BPF file system.
func onBPFFS(path string) (bool, error) {
	for {
		var st unix.Statfs_t
		err := unix.Statfs(path, &st)
		if err == nil {
			return st.Type == unix.BPF_FS_MAGIC, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || path == "/" {
			return false, fmt.Errorf("look for bpffs at %q: %v", path, err)
		}
		path = filepath.Dir(path)
	}
}

// mountBPFFS mounts bpffs, searchable by all: pins below have owners and modes
// of their own, and the node is not root.
func mountBPFFS(point string) error {
	if err := sharesHostMounts(); err != nil {
		return fmt.Errorf("mount bpffs on %q: %v", point, err)
	}
	if err := os.MkdirAll(point, 0o755); err != nil {
		return fmt.Errorf("mount bpffs: %v", err)
	}
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
	if err := unix.Mount("bpf", point, "bpf", flags, "mode=0711"); err != nil {
		return fmt.Errorf("mount bpffs on %q: %v", point, err)
	}
	return nil
}

// InspectBPFFS says whether path, or the nearest directory above it that
// exists, is on a BPF file system, and whether that one lasts as long as the
// machine's own mounts; where there is none, whether one mounted now would.
func InspectBPFFS(path string) (on, lasting bool, err error) {
	if on, err = onBPFFS(path); err != nil {
		return false, false, err
	}
	if sharesHostMounts() == nil {
		return on, true, nil
	}
	if !on {
		return false, false, nil
	}
	// A systemd unit's own namespace shows the host's bpffs: the same device.
	host, err := readMounts("/proc/1/mountinfo")
	if err != nil {
		return on, false, err
	}
	var st unix.Stat_t
	for unix.Stat(path, &st) != nil {
		path = filepath.Dir(path)
	}
	device := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	return on, host.devices[device], nil
}

// sharesHostMounts refuses a mount namespace of our own: a bpffs mounted in it
// vanishes with the last process there, and with it every pin and XDP link.
// ip netns exec and systemd's Private* and Protect* settings make such ones.
//
// A mount belongs to one namespace and its number is unique on the machine, so
// one number in common with process 1 proves the same namespace. The namespace
// links in /proc would say it at once but need the right to trace process 1.
func sharesHostMounts() error {
	ours, err := readMounts("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	host, err := readMounts("/proc/1/mountinfo")
	if err != nil {
		return fmt.Errorf("cannot tell whose mounts these are (%v): mount it yourself: mount -t bpf bpf %s", err, systemBPFFS)
	}
	for number := range host.numbers {
		if ours.numbers[number] {
			return nil
		}
	}
	return fmt.Errorf("this process has a mount namespace of its own (ip netns exec? use nsenter --net), pins would vanish with it: mount it on the host: mount -t bpf bpf %s", systemBPFFS)
}

// mounts are the mounts of a namespace.
type mounts struct {
	numbers map[string]bool
	devices map[string]bool // MAJOR:MINOR
}

// readMounts reads a mountinfo: "36 35 98:0 /mnt1 /mnt2 rw …".
func readMounts(path string) (mounts, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return mounts{}, err
	}
	m := mounts{numbers: make(map[string]bool), devices: make(map[string]bool)}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 2 {
			m.numbers[fields[0]] = true
			m.devices[fields[2]] = true
		}
	}
	return m, nil
}

// openPath lets the node reach its pins: systemd mounts bpffs with mode 0700.
// Search permission shows nobody what is there.
func openPath(pins string) error {
	for dir := filepath.Dir(pins); ; dir = filepath.Dir(dir) {
		if on, err := onBPFFS(dir); err != nil || !on {
			return err
		}
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("open bpffs to the node: %v", err)
		}
		if mode := info.Mode(); mode&0o001 == 0 {
			if err := os.Chmod(dir, mode|0o011); err != nil {
				return fmt.Errorf("open bpffs to the node: %v", err)
			}
		}
	}
}
