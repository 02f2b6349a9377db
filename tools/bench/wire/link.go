package wire

import (
	"context"
	"fmt"

	"sluice/internal/nettest"
)

// threaded gives an interface's NAPI a kernel thread. The switch is in a sysfs
// that shows the interface's namespace, which is not the host's: a process
// mounts one for itself. A thread of ours must not: it could not come back, and
// with its end would end all processes that it started.
func threaded(n *nettest.Namespace, link string) error {
	const script = `mount -t sysfs sysfs /sys && echo 1 >"/sys/class/net/$0/threaded"`
	cmd := n.Command(context.Background(), "unshare", "--mount", "sh", "-c", script, link)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("thread the NAPI of link %q: %v: %s", link, err, said)
	}
	return nil
}
