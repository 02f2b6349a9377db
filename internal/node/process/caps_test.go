package process

import (
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

// The table must not be off by one anywhere.
func TestCapNamesAreTheKernels(t *testing.T) {
	want := map[int]string{
		unix.CAP_CHOWN:              "cap_chown",
		unix.CAP_DAC_OVERRIDE:       "cap_dac_override",
		unix.CAP_DAC_READ_SEARCH:    "cap_dac_read_search",
		unix.CAP_FOWNER:             "cap_fowner",
		unix.CAP_FSETID:             "cap_fsetid",
		unix.CAP_KILL:               "cap_kill",
		unix.CAP_SETGID:             "cap_setgid",
		unix.CAP_SETUID:             "cap_setuid",
		unix.CAP_SETPCAP:            "cap_setpcap",
		unix.CAP_LINUX_IMMUTABLE:    "cap_linux_immutable",
		unix.CAP_NET_BIND_SERVICE:   "cap_net_bind_service",
		unix.CAP_NET_BROADCAST:      "cap_net_broadcast",
		unix.CAP_NET_ADMIN:          "cap_net_admin",
		unix.CAP_NET_RAW:            "cap_net_raw",
		unix.CAP_IPC_LOCK:           "cap_ipc_lock",
		unix.CAP_IPC_OWNER:          "cap_ipc_owner",
		unix.CAP_SYS_MODULE:         "cap_sys_module",
		unix.CAP_SYS_RAWIO:          "cap_sys_rawio",
		unix.CAP_SYS_CHROOT:         "cap_sys_chroot",
		unix.CAP_SYS_PTRACE:         "cap_sys_ptrace",
		unix.CAP_SYS_PACCT:          "cap_sys_pacct",
		unix.CAP_SYS_ADMIN:          "cap_sys_admin",
		unix.CAP_SYS_BOOT:           "cap_sys_boot",
		unix.CAP_SYS_NICE:           "cap_sys_nice",
		unix.CAP_SYS_RESOURCE:       "cap_sys_resource",
		unix.CAP_SYS_TIME:           "cap_sys_time",
		unix.CAP_SYS_TTY_CONFIG:     "cap_sys_tty_config",
		unix.CAP_MKNOD:              "cap_mknod",
		unix.CAP_LEASE:              "cap_lease",
		unix.CAP_AUDIT_WRITE:        "cap_audit_write",
		unix.CAP_AUDIT_CONTROL:      "cap_audit_control",
		unix.CAP_SETFCAP:            "cap_setfcap",
		unix.CAP_MAC_OVERRIDE:       "cap_mac_override",
		unix.CAP_MAC_ADMIN:          "cap_mac_admin",
		unix.CAP_SYSLOG:             "cap_syslog",
		unix.CAP_WAKE_ALARM:         "cap_wake_alarm",
		unix.CAP_BLOCK_SUSPEND:      "cap_block_suspend",
		unix.CAP_AUDIT_READ:         "cap_audit_read",
		unix.CAP_PERFMON:            "cap_perfmon",
		unix.CAP_BPF:                "cap_bpf",
		unix.CAP_CHECKPOINT_RESTORE: "cap_checkpoint_restore",
	}
	if len(capNames) != unix.CAP_LAST_CAP+1 || len(want) != len(capNames) {
		t.Fatalf("%d names, %d expected, the last number is %d", len(capNames), len(want), unix.CAP_LAST_CAP)
	}
	for n, name := range want {
		if capNames[n] != name {
			t.Errorf("capability %d is %s, named %s", n, name, capNames[n])
		}
	}
}

func TestCapSetHas(t *testing.T) {
	if !NodeCaps.Has(capSet(unix.CAP_BPF)) || !NodeCaps.Has(0) || NodeCaps.Has(capSet(unix.CAP_BPF, unix.CAP_CHOWN)) {
		t.Error("Has does not mean: every one of them")
	}
}
