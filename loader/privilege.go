package loader

import "golang.org/x/sys/unix"

// capabilities are what loading and attaching need.
var capabilities = []struct {
	name string
	bit  uint
	// implied says that CAP_SYS_ADMIN, which is older, stands for it.
	implied bool
}{
	{"CAP_BPF", unix.CAP_BPF, true},
	{"CAP_PERFMON", unix.CAP_PERFMON, true},
	{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN, false},
}

// missingCapabilities are those the calling thread does not have in effect. It
// names none where that cannot be told.
func missingCapabilities() []string {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return nil
	}
	effective := uint64(data[1].Effective)<<32 | uint64(data[0].Effective)
	has := func(bit uint) bool { return effective>>bit&1 != 0 }
	var missing []string
	for _, c := range capabilities {
		if !has(c.bit) && !(c.implied && has(unix.CAP_SYS_ADMIN)) {
			missing = append(missing, c.name)
		}
	}
	return missing
}
