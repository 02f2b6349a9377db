package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"sluice/internal/nettest"
)

// touchTable makes the kernel have a table of x_tables in the calling thread's
// network namespace, as the first look of iptables-legacy does (struct ipt_getinfo and
// IPT_SO_GET_INFO of linux/netfilter_ipv4/ip_tables.h).
func touchTable(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var info [84]byte
	copy(info[:], name)
	size := uint32(len(info))
	const getInfo = 64
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_IP, getInfo, uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// Tables that nft does not show are found in their namespace alone, and read where
// there is a program to do so.
func TestLegacyTables(t *testing.T) {
	nettest.Require(t, nettest.Root, nettest.Namespaces)
	s := newSite(t)
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	look := func() []legacyTables {
		t.Helper()
		var list []legacyTables
		s.inside(t, func() {
			var err error
			if list, err = (system{}).LegacyTables(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
		return list
	}
	if got := look(); len(got) != 0 {
		t.Errorf("a new namespace has %+v", got)
	}
	if _, err := os.Stat("/proc/net/ip_tables_names"); err != nil {
		return // a kernel without x_tables has none
	}
	s.inside(t, func() {
		if err := touchTable("filter"); err != nil {
			t.Fatal(err)
		}
	})
	program := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	got := look()
	if len(got) != 1 || got[0].IPv6 || !slices.Equal(got[0].Names, []string{"filter"}) {
		t.Fatalf("%+v", got)
	}
	if _, installed := findProgram("iptables-legacy-save"); !installed && got[0].Fault != "iptables-legacy-save is not installed" {
		t.Errorf("without a program: %+v", got)
	}
	program("iptables-save", `case "$1" in -V) echo "iptables-save v1.8.9 (nf_tables)";; *) echo nft;; esac`)
	if got := look(); len(got) == 1 && string(got[0].Saved) == "nft\n" {
		t.Error("the rules of nft were taken for others")
	}
	program("iptables-save", `case "$1" in -V) echo "iptables-save v1.4.21";; *) echo old;; esac`)
	if _, installed := findProgram("iptables-legacy-save"); !installed {
		if got := look(); len(got) != 1 || string(got[0].Saved) != "old\n" || got[0].Fault != "" {
			t.Errorf("by the only one there is: %+v", got)
		}
	}
	program("iptables-legacy-save", "echo legacy")
	if got := look(); len(got) != 1 || string(got[0].Saved) != "legacy\n" || got[0].Fault != "" {
		t.Errorf("read: %+v", got)
	}
	program("iptables-legacy-save", "echo no right >&2; exit 1")
	if got := look(); len(got) != 1 || got[0].Saved != nil || got[0].Fault != "exit status 1: no right" {
		t.Errorf("one that fails: %+v", got)
	}
	if err := s.backend.Do(func() error {
		other, err := system{}.LegacyTables(t.Context())
		if err != nil || len(other) != 0 {
			t.Errorf("another namespace has %+v, %v", other, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
