package loader_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/loader"
)

// own gives the pin folder, and the bpffs it is in, to the user that processes
// without privilege run as.
func own(t *testing.T, o loader.Options) {
	t.Helper()
	must(t, os.Chown(filepath.Dir(o.Dir), nobody, nobody))
}

// Three capabilities are enough to open, to replace and to be refused.
func TestCapabilitiesThatSuffice(t *testing.T) {
	t.Parallel()
	n, _ := pair(t, "a", "b")
	foreign(t, n, "b")
	o := testOptions(t)
	o.Interfaces = []string{"a"}
	own(t, o)
	for _, round := range []string{"fresh", "adopted"} {
		p := otherProcess(t, n, o, unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN)
		if !p.opened() || !strings.Contains(p.said, "native") {
			t.Fatalf("%s: %s", round, p.said)
		}
		if program(t, n, "a") == 0 {
			t.Errorf("%s: no program on the interface", round)
		}
		p.end()
	}
	// The name of a program is for root alone to read; its number is not.
	o.Interfaces = []string{"b"}
	p := otherProcess(t, n, o, unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN)
	wantText(t, p.said, `"b"`, "another XDP program, id ")
}

// Without one of them the error says which.
func TestCapabilitiesThatAreMissing(t *testing.T) {
	t.Parallel()
	n, _ := pair(t, "a")
	tests := map[string]struct {
		has  []uintptr
		want []string
	}{
		"bpf":       {[]uintptr{unix.CAP_PERFMON, unix.CAP_NET_ADMIN}, []string{"lacks CAP_BPF;"}},
		"perfmon":   {[]uintptr{unix.CAP_BPF, unix.CAP_NET_ADMIN}, []string{"lacks CAP_PERFMON;"}},
		"net admin": {[]uintptr{unix.CAP_BPF, unix.CAP_PERFMON}, []string{"lacks CAP_NET_ADMIN;"}},
		"all":       {[]uintptr{unix.CAP_NET_RAW}, []string{"lacks CAP_BPF and CAP_PERFMON and CAP_NET_ADMIN;"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			o.Interfaces = []string{"a"}
			own(t, o)
			p := otherProcess(t, n, o, tt.has...)
			if p.opened() {
				t.Fatal("opened")
			}
			wantText(t, p.said, append(tt.want, "run it as root, or give it CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN")...)
			absent(t, o.Dir)
		})
	}
}

// A folder that is another user's is named.
func TestFolderOfAnotherUser(t *testing.T) {
	t.Parallel()
	n, o := bare(t)
	p := otherProcess(t, n, o, unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN)
	wantText(t, p.said, "pin folder", filepath.Dir(o.Dir), "permission denied")
}
