package address

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// No more than CAP_NET_ADMIN and CAP_NET_RAW is needed, by an ordinary user.
func TestCapabilitiesThatAreEnough(t *testing.T) {
	n := gateway(t)
	cmd := n.Command(context.Background(), "/proc/self/exe", "tour")
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// A hardened service sees /proc/sys read-only. IPv4 settings go by netlink then,
// and IPv6's must be so from the start: by those of new interfaces.
func TestReadOnlySysctls(t *testing.T) {
	n := gateway(t)
	exe, err := os.Executable()
	must(t, err)
	tour := func() ([]byte, error) {
		script := "mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec " + exe + " tour"
		cmd := n.Command(context.Background(), "/bin/sh", "-c", script)
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS
		return cmd.CombinedOutput()
	}
	must(t, n.SetSysctl("net/ipv6/conf/default/accept_ra", "1"))
	if out, err := tour(); err == nil || !strings.Contains(string(out), "accept_ra to 0") || !strings.Contains(string(out), "writable /proc/sys/net") {
		t.Errorf("%v: %s", err, out)
	}
	for _, name := range []string{"accept_ra", "accept_dad", "autoconf"} {
		must(t, n.SetSysctl("net/ipv6/conf/default/"+name, "0"))
	}
	if out, err := tour(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
