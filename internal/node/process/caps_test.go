package process

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestNodeCaps(t *testing.T) {
	want := []string{"cap_net_admin", "cap_net_raw", "cap_perfmon", "cap_bpf"}
	if diff := cmp.Diff(want, NodeCaps.Names()); diff != "" {
		t.Errorf("the node's capabilities changed (-want +got):\n%s", diff)
	}
}

func TestCapSetNames(t *testing.T) {
	for name, c := range map[string]struct {
		set  CapSet
		want []string
	}{
		"none":          {0, []string{}},
		"lowest":        {1, []string{"cap_chown"}},
		"in order":      {capSet(unix.CAP_BPF, unix.CAP_SETUID), []string{"cap_setuid", "cap_bpf"}},
		"last known":    {capSet(unix.CAP_LAST_CAP), []string{"cap_checkpoint_restore"}},
		"not yet named": {1 << 63, []string{"cap_63"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.set.Names()); diff != "" {
				t.Error(diff)
			}
			if got := c.set.String(); got != strings.Join(c.want, ",") {
				t.Errorf("String() = %q", got)
			}
		})
	}
}

// The table must not be off by one anywhere: the kernel's header is the judge.
func TestCapNamesAreTheKernels(t *testing.T) {
	header, err := os.ReadFile("/usr/include/linux/capability.h")
	if err != nil {
		t.Skipf("no kernel headers to compare with: %v", err)
	}
	text := string(header)
	for n, name := range capNames {
		define := "#define " + strings.ToUpper(name)
		_, rest, found := strings.Cut(text, define+" ")
		if !found {
			continue // a header older than the name
		}
		if got := strings.Fields(rest)[0]; got != strconv.Itoa(n) {
			t.Errorf("%s is %s in the kernel, %d here", name, got, n)
		}
	}
}

func TestCapSetHas(t *testing.T) {
	if !NodeCaps.Has(capSet(unix.CAP_BPF)) || !NodeCaps.Has(0) || NodeCaps.Has(capSet(unix.CAP_BPF, unix.CAP_CHOWN)) {
		t.Error("Has does not mean: every one of them")
	}
}
