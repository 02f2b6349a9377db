package nettest

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Settled returns when every link that is up has its carrier and every address
// on it can be used. The kernel does both through work queues, which may take a
// second; packets sent before are lost, or take another way.
func (n *Namespace) Settled(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		waiting, err := n.unsettled()
		if err != nil {
			return fmt.Errorf("look at namespace %q: %v", n.name, err)
		}
		if waiting == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for namespace %q: %s is not ready: %v", n.name, waiting, ctx.Err())
		case <-tick.C:
		}
	}
}

// unsettled names a link or address that is not ready, or is "".
func (n *Namespace) unsettled() (string, error) {
	links, err := n.nl.LinkList()
	if err != nil {
		return "", err
	}
	up := make(map[int]bool)
	for _, l := range links {
		a := l.Attrs()
		if a.Flags&net.FlagUp == 0 {
			continue
		}
		up[a.Index] = true
		// lo has no notion of a carrier, its state stays unknown.
		if a.Flags&net.FlagLoopback == 0 && a.OperState != netlink.OperUp {
			return a.Name, nil
		}
	}
	return n.unusable(up)
}

// unusable names an IPv6 address on one of the links that the kernel has not
// made its own yet. The local route that says so comes after the address, and
// after duplicate address detection where that is on. IPv4 has no such gap.
func (n *Namespace) unusable(links map[int]bool) (string, error) {
	addrs, err := n.nl.AddrList(nil, netlink.FAMILY_V6)
	if err != nil {
		return "", err
	}
	routes, err := n.nl.RouteListFiltered(netlink.FAMILY_V6,
		&netlink.Route{Table: unix.RT_TABLE_LOCAL}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return "", err
	}
	own := make(map[string]bool)
	for _, r := range routes {
		if r.Dst != nil {
			own[r.Dst.IP.String()] = true
		}
	}
	for _, a := range addrs {
		if links[a.LinkIndex] && !own[a.IP.String()] {
			return a.IPNet.String(), nil
		}
	}
	return "", nil
}
