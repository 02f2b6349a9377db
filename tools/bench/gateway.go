package main

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"

	"sluice/internal/nettest/frame"
	"sluice/loader"
	"sluice/tools/bench/traffic"
)

// shape is what a dataplane under test looks like.
type shape struct {
	Mode     string // a key of modes
	Flows    int
	Backends int // each in every service
	Services int // a power of two
	Guard    string
	// AlwaysLookUp has every packet ask the flow table, where the mode could do
	// without.
	AlwaysLookUp bool
}

// What the guard has to look at.
const (
	guardEmpty = "empty" // nothing
	guardOn    = "on"    // prefixes and bans of which no client is one
)

// The guard where it is on.
const (
	deniedPrefixes  = 1_000
	bannedAddresses = 10_000
)

// modes are what the settings call them.
var modes = map[string]loader.Service{
	"dsr":      {Mode: loader.ModeDSR},
	"ipip":     {Mode: loader.ModeIPIP},
	"gue":      {Mode: loader.ModeGUE},
	"nat hide": {Mode: loader.ModeNAT, Pool: []netip.Addr{vip}},
	"nat keep": {Mode: loader.ModeNAT, KeepClient: true},

	"nat proxy_v2": {Mode: loader.ModeNAT, Proxy: true, Pool: []netip.Addr{vip}},
}

var vip = netip.MustParseAddr("192.0.2.3")

const (
	servicePort = 22
	backendPort = 22

	// defaultFlows is what dataplane.max_flows is where nobody sets it.
	defaultFlows = 262_144
	farHop       = loader.NextHopID(1)
	tick         = 1100 * time.Millisecond
)

// gateway is a lane with a dataplane.
type gateway struct {
	*lane
	shape
	dp      *loader.Dataplane
	service loader.Service
}

// gateway opens a dataplane on a new lane, and on other interfaces of the
// gateway's namespace.
func (r *rig) gateway(s shape, also ...string) (*gateway, error) {
	service, ok := modes[s.Mode]
	if !ok {
		return nil, fmt.Errorf("open dataplane: no mode %q", s.Mode)
	}
	l, err := r.lane()
	if err != nil {
		return nil, err
	}
	g := &gateway{lane: l, shape: s, service: service}
	o := loader.Options{
		Dir:          l.pins(),
		Interfaces:   append([]string{l.nearName()}, also...),
		XDP:          loader.XDPNative,
		MaxFlows:     max(s.Flows, defaultFlows),
		Key:          [16]byte{1, 2, 3},
		Lifetimes:    loader.Lifetimes{Young: cmp.Or(r.young, tick)},
		AlwaysLookUp: s.AlwaysLookUp,
	}
	err = r.gw.Do(func() error {
		return asProduct(func() (err error) {
			g.dp, err = loader.Open(o)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	r.later(func() error {
		err := g.dp.Close()
		_, detach := loader.Detach(l.pins())
		return errors.Join(err, detach)
	})
	if err := errors.Join(g.settle(), g.guard()); err != nil {
		return nil, err
	}
	g.prog, err = g.steer()
	return g, err
}

// steer opens the program on the lane's interface.
func (g *gateway) steer() (*ebpf.Program, error) {
	link, err := g.rig.gw.Netlink().LinkByName(g.nearName())
	if err != nil {
		return nil, fmt.Errorf("look at lane %d: %v", g.number, err)
	}
	x := link.Attrs().Xdp
	if x == nil || !x.Attached {
		return nil, fmt.Errorf("look at lane %d: it carries no program", g.number)
	}
	prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(x.ProgId))
	if err != nil {
		return nil, fmt.Errorf("open the program of lane %d: %v", g.number, err)
	}
	g.rig.later(prog.Close)
	return prog, nil
}

// settle writes services, members and rings.
func (g *gateway) settle() error {
	if err := g.dp.SetPorts(1024, 65535, 1, 0); err != nil {
		return err
	}
	err := g.dp.PutNextHop(farHop, loader.NextHop{
		Interface: g.near, Source: g.hop.source, Destination: g.hop.destination, MTU: 1500, Ready: true,
	})
	if err != nil {
		return err
	}
	for id := range g.Services {
		if err := g.settleService(loader.ServiceID(id)); err != nil {
			return err
		}
	}
	return nil
}

func (g *gateway) settleService(id loader.ServiceID) error {
	s := g.service
	s.Listen = netip.AddrPortFrom(vip, servicePort+uint16(id))
	if err := g.dp.PutService(id, s); err != nil {
		return err
	}
	first := int(id)*g.Backends + 1
	for i := range g.Backends {
		b := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		m := loader.Member{Service: id, Addr: netip.AddrPortFrom(b, backendPort+uint16(id)), NextHop: farHop}
		if err := g.dp.PutMember(loader.MemberID(first+i), m); err != nil {
			return err
		}
	}
	ring, err := g.dp.Ring(id)
	if err != nil {
		return err
	}
	for i := range loader.RingEntries {
		ring.Set(i, loader.MemberID(first+i%g.Backends))
	}
	return g.dp.Publish(id)
}

// guard denies and bans addresses above those of all lanes.
func (g *gateway) guard() error {
	if g.Guard != guardOn {
		return nil
	}
	var deny []netip.Prefix
	for i := range deniedPrefixes {
		deny = append(deny, netip.PrefixFrom(netip.AddrFrom4([4]byte{222, byte(i >> 8), byte(i), 0}), 24))
	}
	if err := g.dp.SetGuard(loader.Guard{Deny: deny}); err != nil {
		return err
	}
	for i := range bannedAddresses {
		banned := netip.PrefixFrom(netip.AddrFrom4([4]byte{223, byte(i >> 8), byte(i), 1}), 32)
		if err := g.dp.Ban(banned, 0); err != nil {
			return err
		}
	}
	return nil
}

// stream prepares frames of the lane's clients to its services.
func (g *gateway) stream(flags frame.Flags, change func(*traffic.StreamOptions)) (*traffic.Stream, error) {
	return g.lane.stream(g.shape, flags, change)
}

const clientISN = 1000

func (l *lane) stream(s shape, flags frame.Flags, change func(*traffic.StreamOptions)) (*traffic.Stream, error) {
	o := traffic.StreamOptions{
		Frame: frame.Frame{
			SrcMAC: l.hop.destination, DstMAC: l.hop.source,
			Dst: netip.AddrPortFrom(vip, servicePort), Flags: flags, Seq: clientISN,
		},
		Clients: l.clients(), Flows: s.Flows, Services: s.Services,
	}
	if flags&frame.SYN == 0 {
		o.Frame.Seq, o.Frame.Ack = clientISN+1, 1
	}
	if change != nil {
		change(&o)
	}
	return traffic.NewStream(o)
}

// data is what established flows send: in random order, each with new numbers,
// so that its entry changes. Between two frames of one flow the numbers grow by
// less than the programs believe.
func (l *lane) data(s shape) (*traffic.Stream, error) {
	return l.stream(s, frame.ACK|frame.PSH, func(o *traffic.StreamOptions) {
		o.Frame.Payload = []byte("0123456789")
		o.Random = true
		o.Advance = max(1, bits.Len(uint(s.Flows))-16)
	})
}
