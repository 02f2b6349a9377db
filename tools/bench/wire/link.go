package wire

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"sluice/internal/nettest"
)

// moderation is for how long a NAPI that ran out of frames is not woken: what
// drivers choose by default for a few packets at a time.
const moderation = 100 * time.Microsecond

// threaded gives an interface's NAPI a kernel thread, and moderates it: it looks
// again once after that time before it waits to be woken. The switches are in a sysfs
// that shows the interface's namespace, which is not the host's: a process
// mounts one for itself. A thread of ours must not: it could not come back, and
// with its end would end all processes that it started.
func threaded(n *nettest.Namespace, link string) error {
	const script = `mount -t sysfs sysfs /sys && cd "/sys/class/net/$0" &&
		echo "$1" >gro_flush_timeout && echo 1 >napi_defer_hard_irqs && echo 1 >threaded`
	cmd := n.Command(context.Background(), "unshare", "--mount", "sh", "-c", script, link,
		strconv.FormatInt(moderation.Nanoseconds(), 10))
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("thread the NAPI of link %q: %v: %s", link, err, said)
	}
	return nil
}
