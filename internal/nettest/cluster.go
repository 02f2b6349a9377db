package nettest

import (
	"errors"
	"fmt"
	"net/netip"
)

// Cluster is two or three gateways side by side, a client, a router and
// backends, each in a namespace of its own and wired like this:
//
//	client   router            gw-a             gw-b            b1     b2 ...
//	 eth0     ext0 int0     ext0  int0       ext0  int0        eth0   eth0
//	 .100     .254 .254      .1    .1         .2    .2          .11    .12
//	  │        │    │        │     │ hb0───────│─────│─┐        │      │
//	┌─┴────────┴────│────────┴─────│───────────┴──┐  │ │        │      │
//	│ ext 192.0.2.0/24, 2001:db8:1::/64   VIP .3  │  │ │        │      │
//	└───────────────│──────────────│──────────────┘  │ │        │      │
//	              ┌─┴──────────────┴─────────────────┴─│────────┴──────┴─┐
//	              │ int 10.0.2.0/24, 2001:db8:2::/64   │          VIP .3 │
//	              └────────────────────────────────────│─────────────────┘
//	                 heartbeat 169.254.1.1 ↔ .0, 2001:db8:3::3 ↔ ::2
//
// Hosts have the same last number in both families; a third gateway, gw-c, has
// .4, and .2 on the heartbeat link. The router is the gateways' way to
// 198.51.100.22 (2001:db8:51::22), which answers pings.
//
// Each of ext, int and heartbeat is a switch in a namespace of its own: a bridge
// that learns addresses, which forgets those of a port that lost its link. The
// heartbeat of two gateways is one cable: pulled at one end, the other end has
// no carrier either.
//
// Nobody holds the VIPs: that is the business of what runs in the gateways. The
// backends' default route is the inside VIP, so that replies follow it; with
// [ClusterOptions.Direct] it is the router.
//
// The gateways forward IP. Links and switch ports are made for XDP as those of a
// [Gateway].
type Cluster struct {
	Client, Router *Namespace
	// Ext, Int and Heartbeat are the switches. A gateway's port is called as
	// the gateway.
	Ext, Int, Heartbeat *Namespace
	Gateways            []*ClusterGateway
	Backends            []*Backend

	// VIP and InsideVIP are the shared addresses on ext and int.
	VIP, InsideVIP Pair
	// ClientAddr and RouterAddr are on ext. Beyond is behind the router.
	ClientAddr, RouterAddr, Beyond Pair

	group
}

// ClusterGateway is one gateway of a [Cluster], and what can befall it. Its
// methods are not to be used from several goroutines at once; where the
// heartbeat is one cable, neither are those of the two.
type ClusterGateway struct {
	*Namespace
	// Label is "gw-a" for the first, whatever the namespace is called.
	Label string
	// Ext, Int and Heartbeat are its own addresses.
	Ext, Int, Heartbeat Pair

	ports map[string]*port // by interface
	peer  *port            // the far end of the heartbeat cable, nil for a switch
	off   bool
	// born are the links it was built with.
	born []string
	// stopped are the processes that SIGSTOP holds, by their descriptors.
	stopped []process
}

// ClusterOptions say what a [Cluster] looks like. The zero value makes two
// gateways and three backends.
type ClusterOptions struct {
	// Name names the namespaces: "lab" makes lab-client, lab-router, lab-ext,
	// lab-int, lab-hb, lab-gw-a, lab-b1 and so on. Empty: they have no names.
	Name string
	// Gateways is their number, 2 or 3. [2]
	Gateways int
	// Backends is their number, 1 to 200. [3]
	Backends int
	// Direct lets the backends reach the client past the gateways.
	Direct bool
	// DSR has the backends hold both families' VIP on lo and answer as it,
	// without claiming it in ARP. It implies Direct.
	DSR bool
}

func (o ClusterOptions) withDefaults() (ClusterOptions, error) {
	if o.Gateways == 0 {
		o.Gateways = 2
	}
	if o.Backends == 0 {
		o.Backends = 3
	}
	if o.Gateways < 2 || o.Gateways > maxGateways {
		return o, fmt.Errorf("build cluster: %d gateways; choose 2 or 3", o.Gateways)
	}
	if o.Backends < 1 || o.Backends > maxBackends {
		return o, fmt.Errorf("build cluster: %d backends; choose 1 to %d", o.Backends, maxBackends)
	}
	o.Direct = o.Direct || o.DSR
	return o, nil
}

// NewCluster builds the topology and returns when packets can pass. Where that
// fails nothing is left.
func NewCluster(o ClusterOptions) (*Cluster, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		VIP:        clusterExt.pair(vipHost),
		InsideVIP:  clusterInt.pair(vipHost),
		ClientAddr: clusterExt.pair(clientHost),
		RouterAddr: clusterExt.pair(routerHost),
		Beyond:     clusterBeyond.pair(beyondHost),
		group:      group{name: o.Name},
	}
	if err := c.build(o); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// ClusterForTest returns a cluster that is closed when the test ends, and skips
// the test where namespaces or BPF programs cannot be made.
func ClusterForTest(t TB, o ClusterOptions) *Cluster {
	t.Helper()
	Require(t, Root, Namespaces, BPF)
	c, err := NewCluster(o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	closeAfter(t, c.Close)
	return c
}

// VIPs returns the VIPs on ext, IPv4's first.
func (c *Cluster) VIPs() []netip.Addr { return []netip.Addr{c.VIP.V4, c.VIP.V6} }
