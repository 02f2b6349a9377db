package failover

import (
	"errors"
	"fmt"
	"testing"

	"sluice/internal/nettest"
)

// TestTakeOverWithoutFlows: a gateway takes over that could not get the flows yet,
// while the one that has them lives: its vip process alone is stopped. The flows are
// told back as soon as they can be, and no connection is lost; nor when the role
// returns to who had them first.
func TestTakeOverWithoutFlows(t *testing.T) {
	nettest.Require(t, nettest.Program("nft"))
	for _, w := range []way{ways[0], ways[3]} {
		t.Run(w.name, func(t *testing.T) {
			beside(t)
			c := gather(t, w, 100, 2)
			a, b := c.each[0], c.each[1]
			b.powerOff()
			c.want("active", "off")
			must(t, b.Restore())
			b.filter("add table inet hold { chain in { type filter hook input priority 0; tcp dport 8022 drop; tcp sport 8022 drop; }; }")
			b.launch()
			c.want("active", "backup")
			c.eventually("gw-b hears that gw-a is active", func() error {
				v, err := b.cluster()
				if err != nil || len(v.Peers) == 0 || !v.Peers[0].Alive || v.Peers[0].State != "active" {
					return fmt.Errorf("it hears %+v: %v", v.Peers, err)
				}
				return nil
			})
			must(t, a.Stop("sluice", "vip"))
			c.eventually("gw-b is active without flows", func() error {
				v, err := b.cluster()
				if err != nil || v.State != "active" {
					return fmt.Errorf("it is %s: %v", v.State, err)
				}
				return nil
			})
			if n, err := b.flows(); err != nil || n >= c.total {
				t.Fatalf("gw-b took over with %d flows of %d (%v)", n, c.total, err)
			}
			b.filter("delete table inet hold")
			c.eventually("gw-b was told the flows", func() error {
				if err := b.hasAll(a); err != nil {
					return err
				}
				return b.isWhole()
			})
			c.whole("gw-b has the VIPs")
			must(t, a.Continue())
			c.want("active", "backup")
			c.whole("gw-a has the VIPs again")
			b.synced(c.total)
			a.synced(c.total)
		})
	}
}

// hasAll says which flows another gateway has that this one lacks, or has otherwise.
func (g *gateway) hasAll(other *gateway) error {
	own, err := g.table()
	theirs, failed := other.table()
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	for port, backend := range theirs {
		if own[port] != backend {
			err = errors.Join(err, fmt.Errorf("port %d goes to %q, there to %q", port, own[port], backend))
		}
	}
	return err
}

// isWhole says why a gateway seems to lack flows.
func (g *gateway) isWhole() error {
	v, err := g.cluster()
	for _, s := range v.Sync {
		if s.State == "not whole" {
			err = errors.Join(err, fmt.Errorf("%s of %s is not whole", s.Direction, s.Peer))
		}
	}
	return err
}
