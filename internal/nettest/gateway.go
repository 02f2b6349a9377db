package nettest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// settleTime is how long a new topology may take until its links carry packets.
const settleTime = 10 * time.Second

// maxBackends is what the address plan holds: 10.0.0.11 to 10.0.0.210.
const maxBackends = 200

// Interface names inside a [Gateway]. Client and backends have one each, the
// gateway has two.
const (
	HostLink    = "eth0" // of client and backends
	OutsideLink = "ext0" // of the gateway, towards clients
	InsideLink  = "int0" // of the gateway, towards backends
)

// Pair is a host's IPv4 and IPv6 address on one network.
type Pair struct{ V4, V6 netip.Addr }

// Like returns the address of the same family as a.
func (p Pair) Like(a netip.Addr) netip.Addr {
	if a.Is4() {
		return p.V4
	}
	return p.V6
}

// both are the addresses of both families, IPv4's first.
func both(p Pair) []netip.Addr { return []netip.Addr{p.V4, p.V6} }

// Gateway is a client, a gateway, a layer-3 switch and backends, each in a
// namespace of its own and wired like this:
//
//	   client                gw (VIPs on ext0)           b1      b2  ...
//	    eth0               ext0          int0           eth0    eth0
//	     .100               .1 .3         .1            .11     .12
//	      │                   │            │             │       │
//	┌─────┴───────────────────┴───┐  ┌─────┴─────────────┴───────┴─────┐
//	│ outside                .254 │  │ .254                     inside │
//	│ 192.0.2.0/24                ╞══╡                     10.0.0.0/24 │
//	│ 2001:db8:1::/64             │  │                 2001:db8:2::/64 │
//	└─────────────────────────────┘  └─────────────────────────────────┘
//	                             switch
//
// Hosts have the same last number in both families (10.0.0.11, 2001:db8:2::11).
//
// The switch holds both networks as bridges, and routes between them (══). That
// is the way of what must not pass the gateway: with [GatewayOptions.Direct] the
// backends' default route is the switch, and a reply goes backend, inside,
// outside, client, as behind any core router. Otherwise their default route is
// the gateway. Replies to a VIP's own address go to the gateway always.
//
// All links are [Namespace.Wirelike], and the switch's ends of ext0 and int0
// have XDP_PASS, so an XDP program on the gateway can answer and redirect.
// Gateway and switch forward IP, so without any program the client reaches the
// backends through the gateway's kernel.
type Gateway struct {
	Client, GW, Switch *Namespace
	Backends           []*Backend

	// VIPs are on ext0 as single addresses.
	VIPs []netip.Addr
	// ClientAddr is the client's, the other two the gateway's own addresses.
	ClientAddr, OutsideAddr, InsideAddr Pair

	group
	mtu int // 0 for the usual
}

// Backend is one backend of a [Gateway].
type Backend struct {
	*Namespace
	// Label is "b1" for the first, whatever the namespace is called.
	Label string
	Addr  Pair
}

// GatewayOptions say what a [Gateway] looks like. The zero value makes three
// backends behind one VIP of each family.
type GatewayOptions struct {
	// Name names the namespaces: "lab" makes lab-client, lab-gw, lab-switch,
	// lab-b1 and so on. Empty: they have no names.
	Name string
	// Backends is their number, 1 to 200. [3]
	Backends int
	// VIPs are addresses of the outside networks. [DefaultVIPs]
	VIPs []netip.Addr
	// DSR are those VIPs that the backends hold on lo and answer as, without
	// claiming them in ARP. It implies Direct.
	DSR []netip.Addr
	// Direct lets the backends reach the client past the gateway.
	Direct bool
	// MTU is that of every link. [1500]
	MTU int
}

// withDefaults fills in what may be left out, and refuses what the address plan
// does not hold.
func (o GatewayOptions) withDefaults() (GatewayOptions, error) {
	if o.Backends == 0 {
		o.Backends = 3
	}
	if o.Backends < 1 || o.Backends > maxBackends {
		return o, fmt.Errorf("build gateway: %d backends; choose 1 to %d", o.Backends, maxBackends)
	}
	if o.VIPs == nil {
		o.VIPs = DefaultVIPs()
	}
	for _, vip := range o.VIPs {
		if !outside.holds(vip) {
			return o, fmt.Errorf("build gateway: VIP %s is in neither %s nor %s", vip, outside.v4, outside.v6)
		}
	}
	for _, vip := range o.DSR {
		if !slices.Contains(o.VIPs, vip) {
			return o, fmt.Errorf("build gateway: dsr address %s is not among the VIPs", vip)
		}
	}
	o.Direct = o.Direct || len(o.DSR) > 0
	return o, nil
}

// NewGateway builds the topology and returns when packets can pass. Where that
// fails nothing is left.
func NewGateway(o GatewayOptions) (*Gateway, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		VIPs:        o.VIPs,
		ClientAddr:  outside.pair(clientHost),
		OutsideAddr: outside.pair(gatewayHost),
		InsideAddr:  inside.pair(gatewayHost),
		group:       group{name: o.Name},
		mtu:         o.MTU,
	}
	if err := g.build(o); err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// GatewayForTest returns a gateway that is closed when the test ends, and skips
// the test where namespaces or XDP programs cannot be made.
func GatewayForTest(t TB, o GatewayOptions) *Gateway {
	t.Helper()
	Require(t, Root, Namespaces, BPF)
	g, err := NewGateway(o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	closeAfter(t, g.Close)
	return g
}

// VIP returns the first VIP of a's family, or the zero address.
func (g *Gateway) VIP(a netip.Addr) netip.Addr {
	for _, vip := range g.VIPs {
		if vip.Is4() == a.Is4() {
			return vip
		}
	}
	return netip.Addr{}
}

// Beside returns the index of the gateway's interface towards the backends, its
// MAC and that of a backend.
func (g *Gateway) Beside(b *Backend) (index int, own, its net.HardwareAddr, err error) {
	index, noIndex := g.GW.Index(InsideLink)
	own, noOwn := g.GW.MAC(InsideLink)
	its, noIts := b.MAC(HostLink)
	return index, own, its, errors.Join(noIndex, noOwn, noIts)
}
