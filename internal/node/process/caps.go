package process

import (
	"fmt"
	"math/bits"
	"strings"

	"golang.org/x/sys/unix"
)

// CapSet is a set of capabilities; bit n stands for capability number n, as in
// /proc/PID/status.
type CapSet uint64

// NodeCaps is all a node process has: BPF objects (CAP_BPF; CAP_PERFMON, or
// the verifier adds barriers that cost 1.6 × per packet), XDP links and
// neighbours (CAP_NET_ADMIN), probes with made-up headers (CAP_NET_RAW).
var NodeCaps = capSet(unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW)

// capNames are the kernel's names by number, of include/uapi/linux/capability.h.
var capNames = [...]string{
	"cap_chown", "cap_dac_override", "cap_dac_read_search", "cap_fowner", "cap_fsetid",
	"cap_kill", "cap_setgid", "cap_setuid", "cap_setpcap", "cap_linux_immutable",
	"cap_net_bind_service", "cap_net_broadcast", "cap_net_admin", "cap_net_raw", "cap_ipc_lock",
	"cap_ipc_owner", "cap_sys_module", "cap_sys_rawio", "cap_sys_chroot", "cap_sys_ptrace",
	"cap_sys_pacct", "cap_sys_admin", "cap_sys_boot", "cap_sys_nice", "cap_sys_resource",
	"cap_sys_time", "cap_sys_tty_config", "cap_mknod", "cap_lease", "cap_audit_write",
	"cap_audit_control", "cap_setfcap", "cap_mac_override", "cap_mac_admin", "cap_syslog",
	"cap_wake_alarm", "cap_block_suspend", "cap_audit_read", "cap_perfmon", "cap_bpf",
	"cap_checkpoint_restore",
}

func capSet(numbers ...int) CapSet {
	var s CapSet
	for _, n := range numbers {
		s |= 1 << n
	}
	return s
}

// Has says whether every capability of want is in the set.
func (s CapSet) Has(want CapSet) bool { return s&want == want }

// Names returns the capabilities by name in the order of their numbers. One
// newer than this program is named by its number.
func (s CapSet) Names() []string {
	names := make([]string, 0, bits.OnesCount64(uint64(s)))
	for _, n := range s.numbers() {
		if n < len(capNames) {
			names = append(names, capNames[n])
		} else {
			names = append(names, fmt.Sprintf("cap_%d", n))
		}
	}
	return names
}

// String returns the names, separated by commas.
func (s CapSet) String() string { return strings.Join(s.Names(), ",") }

func (s CapSet) numbers() []int {
	var numbers []int
	for v := uint64(s); v != 0; v &= v - 1 {
		numbers = append(numbers, bits.TrailingZeros64(v))
	}
	return numbers
}
