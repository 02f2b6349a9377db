package failover

import (
	"context"
	"fmt"
	"testing"

	"sluice/internal/nettest"
)

// heldUp is how many adverts a gateway that would preempt must hear without
// doing so: several times what it needs to.
const heldUp = 20

// TestPreemptWaitsForFlows: a gateway that returns does not take over before it
// has the flows, however well it is, and does once it has them.
func TestPreemptWaitsForFlows(t *testing.T) {
	nettest.Require(t, nettest.Program("nft"))
	beside(t)
	sessions := 100
	c := gather(t, ways[0], sessions, 2)
	a, b := c.each[0], c.each[1]
	b.synced(c.total)
	a.powerOff()
	c.want("off", "active")
	must(t, a.Restore())
	a.filter("add table inet hold { chain in { type filter hook input priority 0; tcp dport 8022 drop; tcp sport 8022 drop; }; }")
	a.launch()
	c.want("backup", "active")
	c.eventually("gw-a hears that it could preempt", func() error {
		v, err := a.cluster()
		if err != nil {
			return err
		}
		if v.State != "backup" || !v.Eligible {
			t.Fatalf("it is %s, eligible %v: %s", v.State, v.Eligible, v.Reason)
		}
		for _, s := range v.Sync {
			if s.State == "synced" {
				t.Fatalf("it says that it is synced")
			}
		}
		for _, s := range v.Segments {
			if s.Family == "ipv4" && s.AdvertsIn < heldUp {
				return fmt.Errorf("it heard %d adverts on %s", s.AdvertsIn, s.Interface)
			}
		}
		if len(v.Peers) == 0 || !v.Peers[0].Alive {
			return fmt.Errorf("it hears no heartbeat")
		}
		return nil
	})
	c.whole("gw-a waits for flows")
	a.filter("delete table inet hold")
	c.want("active", "backup")
	c.whole("gw-a has the flows")
	if n, err := a.flows(); err != nil || n < c.total {
		t.Errorf("gw-a took over with %d flows of %d (%v)", n, c.total, err)
	}
}

// filter gives nftables of the gateway an order.
func (g *gateway) filter(order string) {
	g.all.t.Helper()
	out, err := g.Command(context.Background(), "nft", order).CombinedOutput()
	if err != nil {
		g.all.t.Fatalf("nft %s: %v: %s", order, err, out)
	}
}
