package nettest

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// BPFFS mounts a BPF file system of its own for a test and returns its path.
// The mount belongs to the host's mount namespace, so pins outlive the process
// that made them, and it is gone with the test.
func BPFFS(t TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sluice-bpffs-")
	if err != nil {
		t.Fatalf("make bpffs folder: %v", err)
	}
	closeAfter(t, func() error {
		if err := os.Remove(dir); err != nil {
			return fmt.Errorf("remove bpffs folder: %v", err)
		}
		return nil
	})
	if err := unix.Mount("bpf", dir, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
		t.Fatalf("mount bpffs on %s: %v", dir, err)
	}
	closeAfter(t, func() error {
		// Lazy: a process of the test that still ends may hold it.
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount bpffs %s: %v", dir, err)
		}
		return nil
	})
	return dir
}
