package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

func TestCrashedLabIsSwept(t *testing.T) {
	o := testOptions(t, faultNone)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), crashEnv+"="+o.name)
	out, err := cmd.CombinedOutput()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() {
		t.Fatalf("the lab did not crash as it should: %v: %s", err, out)
	}
	if names, err := nettest.Names(o.name + "-"); err != nil || len(names) != 5 {
		t.Errorf("the dead lab left the namespaces %q (%v), want five", names, err)
	}
	// What sluice run would have mounted, and somebody else's namespace.
	bpffs := filepath.Join(siteDir(o.name), "bpffs")
	if err := os.MkdirAll(bpffs, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("bpf", bpffs, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	foreign, err := nettest.New(o.name + "-mine")
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()

	site, swept, err := openSite(o.name)
	if err != nil {
		t.Fatal(err)
	}
	if !swept {
		t.Error("nothing was swept")
	}
	if names, err := nettest.Names(o.name + "-"); err != nil || !cmp.Equal(names, []string{o.name + "-mine"}) {
		t.Errorf("after sweeping there are the namespaces %q (%v), want only the foreign one", names, err)
	}
	if err := site.close(); err != nil {
		t.Error(err)
	}
	if err := foreign.Close(); err != nil {
		t.Error(err)
	}
	wantNoTrace(t, o.name)
}

func TestSecondLabOfTheNameIsRefused(t *testing.T) {
	needs(t)
	name := labName("s")
	first, swept, err := openSite(name)
	if err != nil || swept {
		t.Fatalf("swept %v, %v", swept, err)
	}
	_, _, err = openSite(name)
	wantError(t, err, name, "process "+strconv.Itoa(os.Getpid()), "--name")
	if _, err := os.Stat(first.file("pid")); err != nil {
		t.Errorf("the refused one touched the first: %v", err)
	}
	dir, err := first.mkdir("b1")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v (%v)", info.Mode(), err)
	}
	if _, err := first.mkdir("b1"); err == nil {
		t.Error("the same directory was made twice")
	}
	if err := first.close(); err != nil {
		t.Error(err)
	}
	again, swept, err := openSite(name)
	if err != nil || swept {
		t.Fatalf("after close: swept %v, %v", swept, err)
	}
	if err := again.close(); err != nil {
		t.Error(err)
	}
	wantNoTrace(t, name)
}

// A stranger's namespace of one of our names is a reason to stop, not to sweep.
func TestForeignNamespaceIsRespected(t *testing.T) {
	o := testOptions(t, faultNone)
	foreign, err := nettest.New(o.name + "-gw")
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	failed, left := runLab(context.Background(), o, &strings.Builder{})
	wantError(t, failed, o.name+"-gw", "taken")
	if left != nil {
		t.Error(left)
	}
	if names, err := nettest.Names(o.name + "-"); err != nil || !cmp.Equal(names, []string{o.name + "-gw"}) {
		t.Errorf("namespaces are %q (%v), want the foreign one alone", names, err)
	}
	if _, err := os.Stat(siteDir(o.name)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is left (%v)", err)
	}
}

func TestMountsBelow(t *testing.T) {
	const mountinfo = `22 1 254:0 / / rw,relatime - ext4 /dev/root rw
30 22 0:25 / /run/sluice-lab/bpffs rw,nosuid - bpf bpf rw
31 22 0:26 / /run/sluice-lab2/bpffs rw - bpf bpf rw
32 30 0:27 / /run/sluice-lab/bpffs/deeper rw - tmpfs tmpfs rw
33 22 0:28 / /run/sluice-lab rw - tmpfs tmpfs rw
broken
`
	want := []string{"/run/sluice-lab/bpffs", "/run/sluice-lab/bpffs/deeper"}
	if diff := cmp.Diff(want, mountsBelow(mountinfo, "/run/sluice-lab")); diff != "" {
		t.Errorf("mounts differ (-want +got):\n%s", diff)
	}
}
