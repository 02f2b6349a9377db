package loader

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// Feature is something the programs need of the kernel.
type Feature struct {
	// Name is what it is, for people.
	Name string
	// Since is the kernel that brought it, to tell what to upgrade to; it is
	// never compared with.
	Since string
	// Err is nil where the kernel has it, wraps ebpf.ErrNotSupported where it
	// surely does not, and is anything else where that cannot be told.
	Err error
}

// feature is a probe. Tests replace probes to act an older kernel.
type feature struct {
	name, since string
	probe       func() error
}

var needed = []feature{
	{"XDP programs", "4.8", func() error { return features.HaveProgramType(ebpf.XDP) }},
	{"socket lookup programs", "5.9", func() error { return features.HaveProgramType(ebpf.SkLookup) }},
	{"syscall programs", "5.14", func() error { return features.HaveProgramType(ebpf.Syscall) }},
	{"ring buffer maps", "5.8", func() error { return features.HaveMapType(ebpf.RingBuf) }},
	{"hashed device maps", "5.4", func() error { return features.HaveMapType(ebpf.DevMapHash) }},
	{"socket maps", "4.14", func() error { return features.HaveMapType(ebpf.SockMap) }},
	{"mappable maps", "5.5", func() error { return features.HaveMapFlag(features.BPF_F_MMAPABLE) }},
	{"bounded loops", "5.3", features.HaveBoundedLoops},
	{"32-bit jumps and atomics (instruction set v3)", "5.12", features.HaveV3ISA},
	{"routing lookups in XDP", "4.18", func() error { return features.HaveProgramHelper(ebpf.XDP, asm.FnFibLookup) }},
	{"coarse clock in XDP", "5.11", func() error { return features.HaveProgramHelper(ebpf.XDP, asm.FnKtimeGetCoarseNs) }},
	{"socket assignment", "5.7", func() error { return features.HaveProgramHelper(ebpf.SkLookup, asm.FnSkAssign) }},
}

// Fragments says that the kernel hands over frames larger than a page, which
// came with Linux 5.18. Without it such frames need generic mode, or a smaller
// MTU.
func Fragments() bool { return features.HaveProgramHelper(ebpf.XDP, asm.FnXdpGetBuffLen) == nil }

// takeFragments makes the programs take such frames where that can be.
func takeFragments(spec *ebpf.CollectionSpec) error {
	if !Fragments() {
		return nil
	}
	for _, p := range spec.Programs {
		if p.Type == ebpf.XDP {
			p.Flags |= unix.BPF_F_XDP_HAS_FRAGS
		}
	}
	if err := spec.Variables["frags"].Set(uint32(1)); err != nil {
		return fmt.Errorf("set constant \"frags\": %v", err)
	}
	return nil
}

// Features probes what the programs need. It needs the capabilities that
// loading does.
func Features() []Feature {
	out := make([]Feature, 0, len(needed))
	for _, f := range needed {
		out = append(out, Feature{Name: f.name, Since: f.since, Err: f.probe()})
	}
	return out
}

// explainLoad makes one readable reason of a failed load: missing privilege, a
// feature the kernel lacks, or what the verifier said.
func explainLoad(err error) error {
	// Before the features: without privilege no probe can tell anything.
	if missing := missingCapabilities(); len(missing) > 0 {
		return fmt.Errorf("load programs: this process lacks %s; run it as root, or give it CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN", strings.Join(missing, " and "))
	}
	for _, f := range Features() {
		if errors.Is(f.Err, ebpf.ErrNotSupported) {
			return fmt.Errorf("load programs: the kernel lacks %s, which came with Linux %s; run a newer kernel", f.Name, f.Since)
		}
	}
	return fmt.Errorf("load programs: %v", err)
}
