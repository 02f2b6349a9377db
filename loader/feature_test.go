package loader

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"sluice/internal/nettest"
)

// replaceProbes has Features probe other things until the test ends.
func replaceProbes(t *testing.T, probes ...feature) {
	saved := needed
	t.Cleanup(func() { needed = saved })
	needed = probes
}

func TestFeaturesOfThisKernel(t *testing.T) {
	nettest.Require(t, nettest.Root, nettest.BPF)
	seen := map[string]bool{}
	for _, f := range Features() {
		if f.Err != nil {
			t.Errorf("%s (Linux %s): %v, although the programs run here", f.Name, f.Since, f.Err)
		}
		if f.Name == "" || f.Since == "" || seen[f.Name] {
			t.Errorf("feature %+v has no name of its own, or no kernel", f)
		}
		seen[f.Name] = true
	}
}

// A kernel that lacks something gives one line that says what, and what to do.
func TestExplainLoad(t *testing.T) {
	nettest.Require(t, nettest.Root, nettest.BPF)
	has := feature{"what it has", "1.0", func() error { return nil }}
	lacks := feature{"flux capacitors", "9.9", func() error { return fmt.Errorf("probe: %w", ebpf.ErrNotSupported) }}
	unclear := feature{"what cannot be told", "2.0", func() error { return errors.New("EBUSY") }}
	cause := errors.New("load program: invalid argument")
	tests := map[string]struct {
		probes []feature
		want   string
	}{
		"lacking": {
			[]feature{has, unclear, lacks},
			"load programs: the kernel lacks flux capacitors, which came with Linux 9.9; run a newer kernel",
		},
		"all there": {[]feature{has}, "load programs: load program: invalid argument"},
		"unclear":   {[]feature{has, unclear}, "load programs: load program: invalid argument"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			replaceProbes(t, tt.probes...)
			if got := explainLoad(cause).Error(); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestFeaturesAreReportedInOrder(t *testing.T) {
	sure := fmt.Errorf("no: %w", ebpf.ErrNotSupported)
	replaceProbes(t,
		feature{"one", "1", func() error { return nil }},
		feature{"two", "2", func() error { return sure }})
	got := Features()
	if len(got) != 2 || got[0] != (Feature{"one", "1", nil}) || got[1] != (Feature{"two", "2", sure}) {
		t.Errorf("features are %+v", got)
	}
}

func TestMissingCapabilities(t *testing.T) {
	nettest.Require(t, nettest.Root, nettest.BPF)
	if missing := missingCapabilities(); len(missing) > 0 {
		t.Errorf("root lacks %s", strings.Join(missing, ", "))
	}
}
