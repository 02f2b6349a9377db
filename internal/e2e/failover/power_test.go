package failover

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"sluice/internal/control"
)

// powerOff ends a gateway as a power failure does. What is on disk stays, what
// is pinned goes with the memory.
func (g *gateway) powerOff() {
	g.all.t.Helper()
	g.freeze()
	must(g.all.t, os.RemoveAll(filepath.Join(g.bpffs, "sluice")))
}

// freeze is powerOff, but that the pins stay.
func (g *gateway) freeze() {
	g.all.t.Helper()
	must(g.all.t, g.PowerOff())
	<-g.ended
	g.cmd = nil
}

// powerOn brings it back and starts sluice.
func (g *gateway) powerOn() {
	g.all.t.Helper()
	must(g.all.t, g.Restore())
	g.launch()
}

// flows is how many flows its dataplane has.
func (g *gateway) flows() (n int, err error) {
	client := control.NewClient(g.socket())
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	list, err := client.Backends(ctx)
	for _, b := range list.Backends {
		n += int(b.FlowsNow)
	}
	return n, err
}

// synced waits until a backup has so many flows and is up to date.
func (g *gateway) synced(flows int) {
	g.all.t.Helper()
	g.all.eventually(g.Label+" is synced", func() error {
		c, err := g.cluster()
		if err != nil {
			return err
		}
		if len(c.Sync) == 0 {
			return fmt.Errorf("it shows no sync as %s", c.State)
		}
		for _, s := range c.Sync {
			if s.State != "synced" {
				return fmt.Errorf("%s of %s is %s, %v behind", s.Direction, s.Peer, s.State, s.Lag)
			}
		}
		if n, err := g.flows(); err != nil || n < flows {
			return fmt.Errorf("it has %d flows, not %d: %v", n, flows, err)
		}
		return nil
	})
}
